#!/usr/bin/python3
"""Sends changes to a Buildbot by the client that `buildbot sendchange` is, kept running, since that program's start alone takes longer
than what is measured. usage: buildbot_send.py HOST:PORT; each line on stdin sends one change of that branch, and its sending time in ns
is printed."""
import sys, time

from twisted.internet import defer, reactor, threads
from buildbot.clients import sendchange


@defer.inlineCallbacks
def serve():
    sender = sendchange.Sender(sys.argv[1])
    while True:
        branch = (yield threads.deferToThread(sys.stdin.readline)).strip()
        if not branch:
            break
        print(time.time_ns(), flush=True)
        yield sender.send(branch=branch, revision=str(time.time_ns()), comments="bench", files=["a"], who="ada", category=None, when=None,
                          properties={}, repository="", vc="", project="", revlink="", codebase=None)
    reactor.stop()


reactor.callWhenRunning(lambda: serve().addErrback(lambda f: (f.printTraceback(), reactor.stop())))
reactor.run()

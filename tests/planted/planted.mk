# Known mistakes, planted one after the other: the simulator must find each (docs/reliability.md).
.PHONY: planted planted-check
PLANTED ?=
planted: ; @tests/planted/planted.py $(PLANTED) ## plant known mistakes and find them by the simulator: all, or PLANTED=NN (opt-in; 20 minutes)
planted-check: ; @tests/planted/planted.py --check ## all of them still apply

# The pages: one bundle of scripts and styles, packed into one file that master/http/assets.c embeds. `make` builds it with
# Debian's esbuild; no network, no node. Names carry a hash of what is in them, so that a browser may keep them for ever.
WEB     := $(BUILD)/web
WEB_SRC := $(sort $(shell find web/src web/css web/vendor -name '*.js' -o -name '*.jsx' -o -name '*.mjs' -o -name '*.css'))
ESBUILD ?= esbuild
.PHONY: web web-test
web: $(WEB)/pack ## the web pages alone
$(WEB)/pack: $(WEB_SRC) web/build.mk web/pack.sh
	@command -v $(ESBUILD) >/dev/null || { echo "esbuild is missing, which makes the web pages: tests/deps.sh installs it" >&2; exit 1; }
	@echo "WEB $@"; rm -rf $(WEB)/out; mkdir -p $(WEB)/out
	@NODE_PATH=web/vendor $(ESBUILD) web/src/main.jsx --bundle --splitting --format=esm --minify --target=chrome109,firefox115,safari16.4 --charset=utf8 \
	  --jsx=transform --jsx-factory=jsxH --jsx-fragment=JsxFragment --inject:./web/src/jsx.js --legal-comments=none \
	  --entry-names=[name]-[hash] --chunk-names=chunk-[hash] --asset-names=[name]-[hash] --outdir=$(WEB)/out --log-level=warning
	@web/pack.sh $(WEB)/out $@
$(O)/master/http/assets.o: CFLAGS_ALL += -DPW_WEB_PACK='"$(WEB)/pack"'
$(O)/master/http/assets.o $(BUILD)/analyze/master/http/assets.ok: $(WEB)/pack
# pure modules, by node's own runner
web-test: ## tests of the pages' pure modules (node)
	@tests/counted $(COUNTS) web $(if $(shell command -v node),node --test --test-reporter=tap $(sort $(wildcard web/test/*.test.js)),echo "1 skipped: node is not installed")

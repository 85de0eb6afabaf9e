#!/usr/bin/env bash
# Tests the programs that users see pipelines in: yaml-language-server as an editor drives it,
# check-jsonschema, pre-commit, and the SARIF schema. Installs them from npm and PyPI into `clients` in
# the target folder.
#
#   tests/clients.sh [FSCT]      FSCT: the binary; the release build by default
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
fsct=$(realpath "${1:-$target/release/fsct}")
clients=$target/clients
mkdir -p "$clients"

for tool in node npm python3 git; do
  command -v "$tool" >/dev/null || { echo "tests/clients.sh needs $tool" >&2; exit 2; }
done
# Versions are pinned, so that results only change when this project does.
if [ ! -e "$clients/npm.done" ]; then
  npm install --prefix "$clients" --no-audit --no-fund --silent \
    yaml-language-server@1.25.0 @microsoft/jest-sarif@1.0.0-beta.0
  touch "$clients/npm.done"
fi
if [ ! -e "$clients/pip.done" ]; then
  python3 -m venv "$clients/venv"
  "$clients/venv/bin/pip" install --quiet --disable-pip-version-check \
    check-jsonschema==0.39.0 pre-commit==4.7.0
  touch "$clients/pip.done"
fi
check=$clients/venv/bin/check-jsonschema
passed=0
pass() { passed=$((passed + 1)); echo "ok: $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# An editor, with nothing but the modeline.
node tests/editor/lsp.mjs "$clients/node_modules/yaml-language-server/out/server/src/server.js" pipelines/*.yaml
pass "yaml-language-server: $(ls pipelines/*.yaml | wc -l) pipelines"

# The schema in another validator.
"$check" --check-metaschema schemas/pipeline.schema.json >/dev/null || fail "the schema is not a valid JSON schema"
"$check" --schemafile schemas/pipeline.schema.json pipelines/*.yaml >/dev/null || fail "a shipped pipeline is rejected"
pass "check-jsonschema accepts every shipped pipeline"
"$check" --check-metaschema schemas/sweep.schema.json >/dev/null || fail "the schema of sweeps is not a valid JSON schema"
"$check" --schemafile schemas/sweep.schema.json sweeps/*.yaml >/dev/null || fail "a shipped sweep is rejected"
pass "check-jsonschema accepts every shipped sweep"
# Without the files that are not YAML: some of them are meant to crash a reader.
mapfile -t readable < <(grep -La '^# schema unreadable' tests/errors/*.yaml | grep -v /duplicate_)
"$check" --schemafile schemas/pipeline.schema.json --output-format json "${readable[@]}" >"$clients/errors.json" || true
python3 - "$clients/errors.json" "${readable[@]}" <<'EOF' || fail "check-jsonschema and tests/errors disagree"
import json, re, sys
log = json.load(open(sys.argv[1]))
unreadable = {error["filename"] for error in log.get("parse_errors", [])}
rejected = {error["filename"] for error in log["errors"]}
wrong = 0
for path in sys.argv[2:]:
    verdict = re.search(rb"^# schema (\w+)", open(path, "rb").read(), re.M)[1].decode()
    found = "unreadable" if path in unreadable else "rejects" if path in rejected else "accepts"
    if found != verdict:
        print(f"{path}: {found} for {verdict}", file=sys.stderr)
        wrong += 1
print(f"{len(rejected)} of {len(sys.argv) - 2} rejected")
sys.exit(wrong > 0)
EOF
pass "check-jsonschema rejects what a schema can say, and no more"

# SARIF, against the standard's schema.
sarif=$clients/errors.sarif
code=0
"$fsct" validate --offline --format sarif tests/errors >"$sarif" || code=$?
[ "$code" -eq 1 ] || fail "fsct validate tests/errors exits with $code"
"$check" --regex-variant nonunicode --schemafile "$clients/node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json" "$sarif" >/dev/null ||
  fail "the SARIF log is not SARIF 2.1.0"
pass "SARIF 2.1.0: $(grep -c '"ruleIndex"' "$sarif") results"

# pre-commit, in a repository of its own that uses this one's hook.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/repo/pipelines" "$work/hooks" "$work/bin"
ln -s "$fsct" "$work/bin/fsct"
export PATH=$work/bin:$PATH PRE_COMMIT_HOME=$clients/pre-commit
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost
export GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost
cp .pre-commit-hooks.yaml "$work/hooks/"
(cd "$work/hooks" && git init -q && git add -A && git commit -qm hooks)
cp pipelines/quickstart.yaml "$work/repo/pipelines/good.yaml"
cd "$work/repo"
git init -q && git add -A
"$clients/venv/bin/pre-commit" try-repo "$work/hooks" fsct-validate --all-files >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "pre-commit rejects a good pipeline"; }
cp "$root/tests/errors/choice_amp.yaml" pipelines/bad.yaml
git add -A
if "$clients/venv/bin/pre-commit" try-repo "$work/hooks" fsct-validate --all-files >"$work/log" 2>&1; then
  fail "pre-commit accepts a bad pipeline"
fi
grep -q 'did you mean `f16`' "$work/log" || { cat "$work/log"; fail "pre-commit hides the diagnostic"; }
pass "pre-commit accepts the good pipeline and rejects the bad one"

echo "$passed passed, 0 failed"

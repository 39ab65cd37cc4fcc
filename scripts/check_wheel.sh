#!/usr/bin/env bash
# Checks that the wheel works without the checkout: builds it, installs it into a throwaway
# environment and runs it from an empty folder. Usage: scripts/check_wheel.sh [VENV], default .venv.
#
# The throwaway environment borrows the dependencies of VENV through a .pth file, so nothing is
# downloaded. Python reads no .pth files in folders added that way: VENV's editable install of
# seqsearch stays invisible, and a module or data file missing from the wheel is missed here.
set -euo pipefail
unset PYTHONPATH PYTHONHOME

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${1:-$repo/.venv}
python=$venv/bin/python
[[ -x $python ]] || { echo "check_wheel: no $python; run make setup first" >&2; exit 1; }

box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

step() {  # step DESCRIPTION COMMAND...: the command's output is shown only if it fails
  local what=$1
  shift
  if ! "$@" >"$box/log" 2>&1; then
    cat "$box/log" >&2
    echo "check_wheel: could not $what" >&2
    exit 1
  fi
}

step "build the wheel" "$python" -m build --wheel --no-isolation --outdir "$box/dist" "$repo"
wheel=$(echo "$box"/dist/*.whl)
version=$(basename "$wheel" | cut -d - -f 2)

new=$box/venv/bin
step "make an environment" "$python" -m venv --without-pip "$box/venv"
step "install the wheel" "$python" -m pip --disable-pip-version-check --python "$new/python" \
  install --no-deps --no-index "$wheel"
"$python" - "$("$new/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" <<'PY'
import pathlib, sys, sysconfig
paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
pathlib.Path(sys.argv[1], "borrowed.pth").write_text("\n".join(sorted(paths)) + "\n")
PY
step "find the wheel's dependencies in $venv" \
  "$python" -m pip --disable-pip-version-check --python "$new/python" check

mkdir "$box/empty"
cd "$box/empty"
step "import seqsearch from the wheel, not from the checkout" "$new/python" -c '
import pathlib, sys, seqsearch
found = pathlib.Path(seqsearch.__file__).resolve()
sys.exit(None if found.is_relative_to(pathlib.Path(sys.prefix).resolve()) else f"imported {found}")'
step "run seqsearch --version" "$new/seqsearch" --version
grep -qF "$version" "$box/log" || {
  echo "check_wheel: seqsearch --version says '$(cat "$box/log")', the wheel is $version" >&2
  exit 1
}
step "run seqsearch --help" "$new/seqsearch" --help
step "run seqsearch demo" "$new/seqsearch" demo -o "$box/demo" --quiet
[[ -n $(ls -A "$box/demo") ]] || { echo "check_wheel: seqsearch demo left its folder empty" >&2; exit 1; }

echo "check_wheel: $(basename "$wheel") installs and runs outside the checkout"

#!/bin/sh
# with_flower.sh VERSION [PYTEST ARGUMENTS]: what must hold of a release of Flower, tried with it: its private parts
# that we use, its programs, and the same bytes over every carrier. The release gets an environment of its own, which
# sees all else in ours: torch is not installed again.
set -eu
venv=${VENV:-.venv}
release=$1
shift
own=${FLOWER_VENV:-$venv/flower-$release}
[ -x "$own/bin/python" ] || "$venv/bin/python" -m venv --without-pip "$own"
where='import sysconfig; print(sysconfig.get_path("purelib"))'
echo "import site; site.addsitedir('$("$venv/bin/python" -c "$where")')" > "$("$own/bin/python" -c "$where")/shared.pth"
"$venv/bin/python" -m pip --python "$own/bin/python" install --quiet --no-deps --ignore-installed "flwr==$release.*"
"$own/bin/python" -c 'from importlib.metadata import version; print("flwr", version("flwr"))'
[ $# -gt 0 ] || set -- tests/protocol/test_flower_internals.py tests/protocol/test_flower_programs.py \
    tests/protocol/test_relay.py tests/server/test_conformance.py tests/simulations/test_flower_app.py
exec "$own/bin/python" -m pytest "$@"

#!/bin/sh
# install.sh FOLDER ARGUMENTS...: pip install into /opt/venv.
# If FOLDER contains wheels, only they are used; otherwise the package index.
set -eu
wheels=$1
shift
if ls "$wheels"/*.whl >/dev/null 2>&1; then
  set -- --no-index --find-links "$wheels" "$@"
fi
exec /opt/pip/bin/pip --python /opt/venv/bin/python --disable-pip-version-check --no-cache-dir install -q --no-compile "$@"

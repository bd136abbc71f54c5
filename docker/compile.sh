#!/bin/sh
# compile.sh PYTHON FOLDER [OPTIONS]: compiles every module in FOLDER to bytecode.
# The bytecode is valid whatever the modification times of the sources are: copying may change them.
# The standard library's tests and tools are skipped, and existing bytecode is kept.
set -eu
python=$1 folder=$2
shift 2
skip='test|tests|idlelib|lib2to3|ensurepip|pydoc_data|tkinter|turtledemo'
case $folder in
  /opt/*) ;;
  *) skip="$skip|site-packages|dist-packages" ;;
esac
# Exit code 1: some files cannot be compiled. Torch contains files for other versions of Python,
# which nothing imports.
"$python" -I -m compileall -qq -j 0 --invalidation-mode unchecked-hash -x "/($skip)/" "$@" "$folder" || [ $? = 1 ]

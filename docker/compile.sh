#!/bin/sh
# compile.sh PYTHON FOLDER [OPTIONS]: bytecode for every module in FOLDER. It holds whatever the files' times are, as copying may
# change them. The standard library's tests and tools are left out; what is compiled already is left as it is.
set -eu
python=$1 folder=$2
shift 2
skip='test|tests|idlelib|lib2to3|ensurepip|pydoc_data|tkinter|turtledemo'
case $folder in
  /opt/*) ;;
  *) skip="$skip|site-packages|dist-packages" ;;
esac
# A file for another version of Python (torch carries some) cannot be compiled; nothing imports it either.
"$python" -I -m compileall -qq -j 0 --invalidation-mode unchecked-hash -x "/($skip)/" "$@" "$folder" || [ $? = 1 ]

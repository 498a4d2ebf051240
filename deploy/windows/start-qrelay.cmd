@echo off
rem Starts qrelay: on the accounts that are stored, else as a demonstration. The first time it makes .venv.
rem Settings: .env in the project's folder. Options: as of `qrelay serve`, for instance --port 8001.
cd /d "%~dp0..\.." || exit /b 1
if not exist .venv\ready (
  echo Installing what qrelay needs ...
  py -3 -m venv .venv || python -m venv .venv || exit /b 1
  .venv\Scripts\python -m pip install -q --disable-pip-version-check --require-hashes -r requirements\run.txt -r requirements\build.txt || exit /b 1
  .venv\Scripts\python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e . || exit /b 1
  echo done> .venv\ready
)
.venv\Scripts\qrelay run %*

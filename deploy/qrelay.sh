#!/bin/sh
# qrelay's commands beside the service (qrelay.service): as its user, in its folder, with its settings.
# Goes to /usr/local/bin/qrelay. Names of files are from /var/lib/qrelay on.
exec sudo -u qrelay env -C /var/lib/qrelay QRELAY_HOME=/var/lib/qrelay /opt/qrelay/.venv/bin/qrelay "$@"

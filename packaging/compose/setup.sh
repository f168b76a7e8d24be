#!/bin/sh
# Writes what the services of compose.yaml read: artefacts, the shop's scripts, and the receiver's tokens.
set -eu
examples=$(python -c 'import freezeline.demo, os.path; print(os.path.dirname(freezeline.demo.__file__))')/examples/demo
receiver=10001:10001

freezeline generate "$examples/slo.yaml" -o /generated --webhook-url http://receiver:9099/webhook --secrets /tokens

install -m 0755 "$examples"/*.sh /opt/freezeline-demo/
test -e /opt/freezeline-demo/release || echo v1 >/opt/freezeline-demo/release
mkdir -p /opt/freezeline-demo/flag

# Each token alone in a file of the receiver, and copies for Prometheus and Alertmanager, whose users differ.
mkdir -p -m 0700 /var/lib/freezeline/tokens
for role in webhook read operate; do
    file=/var/lib/freezeline/tokens/$role
    test -e "$file" || (umask 077 && python -c 'import secrets; print(secrets.token_urlsafe(32))' >"$file")
done
install -m 0444 /var/lib/freezeline/tokens/webhook /tokens/freezeline-webhook
install -m 0444 /var/lib/freezeline/tokens/read /tokens/freezeline-read

chown -R "$receiver" /opt/freezeline-demo /var/lib/freezeline

#!/bin/sh
# One round between real processes on this machine: a server and two clients, over the link, with TLS.
# `make demo-link` runs it. Everything it makes stays in runs/link; a second run goes on from the first.
set -eu

renga=${RENGA:-renga}
host=${HOST_MODEL:-gemma-3-270m}
edge=${EDGE_MODEL:-SmolLM2-135M-Instruct}
port=${PORT:-9443}
out=${OUT:-runs/link}
texts=examples/quickstart

mkdir -p "$out"
rm -f "$out"/*.log
export RENGA_SERVER__EDGE_MODELS="[\"$edge\"]"
export RENGA_SERVER__TRANSFER__VALIDATION="[\"$PWD/$texts/public_validation.jsonl\"]"
export RENGA_SERVER__TRANSFER__ANSWER_TOKENS=6 RENGA_SERVER__TRANSFER__AGREEMENT=0.3
export RENGA_SERVER__HOST__TOKENS=2000 RENGA_SERVER__HOST__LEARNING_RATE=5e-4
export RENGA_CLIENT__EDGE__TOKENS=3000 RENGA_CLIENT__EDGE__TRANSFER_TOKENS=1200
export RENGA_CLIENT__EDGE__LEARNING_RATE=3e-3 RENGA_CLIENT__EDGE__BATCH=4 RENGA_CLIENT__EDGE__RANK=8
export RENGA_CLIENT__EDGE__MODULES=upper

running=
# Ends what this script started, and nothing else.
finish() {
  for process in $running; do kill "$process" 2>/dev/null || true; done
  wait
}
trap finish EXIT
trap 'exit 130' INT TERM

# said LOG PROCESS WORDS: wait until the log says so, or its process has ended.
said() {
  until grep -qs "$3" "$1"; do
    if ! kill -0 "$2" 2>/dev/null; then cat "$1" >&2; exit 1; fi
    sleep 0.5
  done
}

"$renga" serve --dev --model "$host" --port "$port" --state "$out/server" \
  --transfer "$texts/transfer.jsonl" --transfer "$texts/public_labelled.jsonl" >"$out/server.log" 2>&1 &
server=$!
running=$server
echo "server: loading $host"
said "$out/server.log" "$server" "^serving"

for name in clinic foundry; do
  "$renga" join "localhost:$port" --dev --name "$name" --model "$edge" --state "$out/$name" \
    --data "$texts/$name/train.jsonl" >"$out/$name.log" 2>&1 &
  client=$!
  running="$running $client"
  said "$out/$name.log" "$client" "attached"
  echo "$name: attached, with $edge"
done

"$renga" train --rounds "${ROUNDS:-1}" --state "$out/server"
"$renga" status --state "$out/server"
for name in clinic foundry; do
  echo "what left $name:"
  "$renga" ledger --state "$out/$name"
done

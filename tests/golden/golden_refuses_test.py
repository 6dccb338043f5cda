"""The golden tool must fail where the reference is moved by four limits, where a tensor is lost or left over, and
where the folder is damaged: else its passes would mean nothing."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TOOL = os.path.join(ROOT, os.environ.get("ROBIN_BUILD", "build/cpu"), "tests", "golden")
CASE = os.path.join(ROOT, "tests", "data", "golden", "robin_tiny_no_region")
SIZES = {"F64": "d", "F32": "f", "I64": "q", "U8": "B"}


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + n]), bytearray(data[8 + n:])


def write(path, header, body):
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + bytes(body))


def run(folder):
    done = subprocess.run([TOOL, folder], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def move(folder, name, index, change):
    """Changes one stored number."""
    path = os.path.join(folder, "tensors.safetensors")
    header, body = read(path)
    kind = SIZES[header[name]["dtype"]]
    at = header[name]["data_offsets"][0] + index * struct.calcsize(kind)
    value = struct.unpack_from("<" + kind, body, at)[0]
    struct.pack_into("<" + kind, body, at, change(value))
    write(path, header, body)


def relative(header_and_body, name, limit):
    """A change of one element that moves a whole tensor by four limits of its norm."""
    header, body = header_and_body
    first, last = header[name]["data_offsets"]
    kind = SIZES[header[name]["dtype"]]
    values = struct.unpack("<%d%s" % ((last - first) // struct.calcsize(kind), kind), body[first:last])
    return lambda v: v + 4 * limit * sum(x * x for x in values) ** 0.5


def drop(folder):
    """Loses the last tensor."""
    path = os.path.join(folder, "tensors.safetensors")
    header, body = read(path)
    name = max((k for k in header if k != "__metadata__"), key=lambda k: header[k]["data_offsets"][1])
    del body[header[name]["data_offsets"][0]:]
    del header[name]
    write(path, header, body)


def add(folder):
    path = os.path.join(folder, "tensors.safetensors")
    header, body = read(path)
    header["hidden.layer77"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(body), len(body) + 4]}
    write(path, header, body + b"\0\0\0\0")


def reseed(folder):
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        config = json.load(f)
    config["seed"] += 1
    with open(path, "w") as f:
        json.dump(config, f)


def cut(folder):
    path = os.path.join(folder, "tensors.safetensors")
    with open(path, "rb+") as f:
        f.truncate(os.path.getsize(path) - 1)


def main():
    whole = read(os.path.join(CASE, "tensors.safetensors"))
    bias = "grad.model.layers.0.self_attn.v_proj.bias"
    damages = {
        "logits": lambda d: move(d, "logits", 5, relative(whole, "logits", 1e-5)),
        "t.f": lambda d: move(d, "t.f", 70, relative(whole, "t.f", 1e-5)),
        "loss_sum": lambda d: move(d, "loss_sum", 0, lambda v: v * (1 + 4e-5)),
        "norm of a gradient": lambda d: move(d, bias, 0, lambda v: v * (1 + 1.2e-4)),
        "a label": lambda d: move(d, "labels_spliced", 40, lambda v: v + 1),
        "a missing tensor": drop,
        "a tensor too many": add,
        "another seed": reseed,
        "a file cut short": cut,
    }
    code, output = run(CASE)
    if code != 0:
        sys.exit("the folder itself does not pass:\n" + output)
    missed = []
    for what, damage in damages.items():
        with tempfile.TemporaryDirectory() as top:
            folder = os.path.join(top, "case")
            shutil.copytree(CASE, folder)
            damage(folder)
            code, output = run(folder)
            if code != 1 or "FAILED" not in output:
                missed.append(f"{what}: exit code {code}\n{output}")
    if missed:
        sys.exit("not noticed:\n" + "\n".join(missed))


main()

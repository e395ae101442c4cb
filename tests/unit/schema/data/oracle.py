"""The foreign oracle of test_json.c: Google's own protobuf for Python.

make <folder> <count> <seed>   writes <folder>/cases: type, wire and JSON of random messages
check <folder>                 compares <folder>/answers with them, both directions

Lines are tab-separated; wire and JSON are hexadecimal, so that no text needs escapes.
"""
import random
import sys

folder = sys.argv[2]
sys.path.insert(0, folder)
import kitchen_sink_pb2 as pb  # noqa: E402
from google.protobuf import json_format, symbol_database, timestamp_pb2  # noqa: E402
from google.protobuf.descriptor import FieldDescriptor as F  # noqa: E402

TYPES = ["Scalars", "Lists", "Maps", "Optionals", "Known", "Sink"]
LETTERS = 'abc012 _"\\/\n\t\x01\x7f\u0416\u6570\u95f8\U0001f600\u2028'
EDGES = {
    F.CPPTYPE_INT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    F.CPPTYPE_INT64: [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1],
    F.CPPTYPE_UINT32: [0, 1, 2**32 - 1],
    F.CPPTYPE_UINT64: [0, 1, 2**64 - 1, 2**63],
    F.CPPTYPE_DOUBLE: [0.0, 1.0, 0.1, -2.5, 1e300, 5e-324, 1e22, 123456789.125, 1 / 3,
                       float("nan"), float("inf"), float("-inf")],
    F.CPPTYPE_FLOAT: [0.0, 1.0, 0.5, -2.25, 2.0**127, 1.401298464324817e-45,
                      0.10000000149011612, float("nan"), float("inf"), float("-inf")],
}


def text(r):
    return "".join(r.choice(LETTERS) for _ in range(r.randrange(6)))


def scalar(r, field):
    kind = field.cpp_type
    if kind == F.CPPTYPE_BOOL:
        return r.random() < 0.5
    if kind == F.CPPTYPE_ENUM:
        if field.enum_type.full_name == "google.protobuf.NullValue":
            return 0
        return r.choice([0, 1, 2, -1, 5, 77])
    if field.type == F.TYPE_STRING:
        return text(r)
    if field.type == F.TYPE_BYTES:
        return r.randbytes(r.randrange(6))
    if kind in (F.CPPTYPE_DOUBLE, F.CPPTYPE_FLOAT) or r.random() < 0.5:
        return r.choice(EDGES[kind])
    low, high = min(EDGES[kind]), max(EDGES[kind])
    return r.randint(low, high) >> r.randrange(60)


def fill_known(r, message, depth):
    """True when the type has rules of its own that random fields would break."""
    name = message.DESCRIPTOR.name
    if message.DESCRIPTOR.file.package != "google.protobuf":
        return False
    if name == "Timestamp":
        message.seconds = r.choice([0, -62135596800, 253402300799, r.randint(-10**10, 10**10)])
        message.nanos = r.choice([0, 1, 999999999, 500000000, 123456000])
    elif name == "Duration":
        sign = r.choice([1, -1])
        message.seconds = sign * r.choice([0, 1, 315576000000, r.randrange(10**6)])
        message.nanos = sign * r.choice([0, 1, 999999999, 500000000, 123456000])
    elif name == "FieldMask":
        message.paths.extend(r.sample(["a", "id_number", "x.y_z", "long_name_here"], r.randrange(4)))
    elif name == "Any":
        inner = r.choice([pb.Scalars, pb.Optionals, timestamp_pb2.Timestamp])()
        fill(r, inner, depth + 1)
        message.Pack(inner)
    elif name == "Value":
        kind = r.randrange(6 if depth < 6 else 4)
        if kind == 0:
            message.null_value = 0
        elif kind == 1:
            message.number_value = r.choice([0.0, 1.5, -3.0, 1e30])
        elif kind == 2:
            message.string_value = text(r)
        elif kind == 3:
            message.bool_value = r.random() < 0.5
        elif kind == 4:
            message.struct_value.SetInParent()
            fill(r, message.struct_value, depth + 1)
        else:
            message.list_value.SetInParent()
            fill(r, message.list_value, depth + 1)
    elif name == "Struct":
        for _ in range(r.randrange(3)):
            fill(r, message.fields[text(r)], depth + 1)
    elif name == "ListValue":
        for _ in range(r.randrange(3)):
            fill(r, message.values.add(), depth + 1)
    else:
        return False
    return True


def fill_map(r, message, field, depth):
    key, value = field.message_type.fields
    target = getattr(message, field.name)
    for _ in range(r.randrange(4)):
        at = scalar(r, key)
        if value.message_type:
            fill(r, target[at], depth + 1)
        else:
            target[at] = scalar(r, value)


def fill(r, message, depth=0):
    if fill_known(r, message, depth):
        return
    for field in message.DESCRIPTOR.fields:
        if r.random() < (0.3 if depth == 0 else 0.6) or (field.message_type and depth > 3):
            continue
        repeated = field.label == F.LABEL_REPEATED
        if repeated and field.message_type and field.message_type.GetOptions().map_entry:
            fill_map(r, message, field, depth)
        elif repeated:
            target = getattr(message, field.name)
            for _ in range(r.randrange(4)):
                if field.message_type:
                    fill(r, target.add(), depth + 1)
                else:
                    target.append(scalar(r, field))
        elif field.message_type:
            child = getattr(message, field.name)
            child.SetInParent()
            fill(r, child, depth + 1)
        else:
            setattr(message, field.name, scalar(r, field))


def plain(message):
    return message.SerializeToString(deterministic=True)


def make(count, seed):
    r = random.Random(seed)
    with open(f"{folder}/cases", "w", encoding="ascii") as out:
        for i in range(count):
            name = TYPES[i % len(TYPES)]
            message = getattr(pb, name)()
            fill(r, message)
            style = {"preserving_proto_field_name": True} if i % 3 == 0 else {}
            if i % 5 == 0:
                style["including_default_value_fields"] = True
            json = json_format.MessageToJson(message, **style).encode()
            out.write(f"{message.DESCRIPTOR.full_name}\t{plain(message).hex()}\t{json.hex()}\n")


def check():
    classes = symbol_database.Default()
    wrong = 0
    with open(f"{folder}/cases", encoding="ascii") as cases, \
            open(f"{folder}/answers", encoding="ascii") as answers:
        pairs = list(zip(cases, answers, strict=True))
    for number, (case, answer) in enumerate(pairs):
        name, wire, json = case.rstrip("\n").split("\t")
        our_json, our_json_defaults, our_wire = answer.rstrip("\n").split("\t")
        kind = classes.GetSymbol(name)
        wanted = kind.FromString(bytes.fromhex(wire))
        got = [kind.FromString(bytes.fromhex(our_wire))]
        for ours in our_json, our_json_defaults:
            got.append(json_format.Parse(bytes.fromhex(ours).decode(), kind()))
        for i, message in enumerate(got):
            if plain(message) != plain(wanted):
                wrong += 1
                print(f"case {number} ({name}), way {i}:\n{wanted}\n---\n{message}")
                print(bytes.fromhex(json).decode(), bytes.fromhex(our_json).decode(), sep="\n---\n")
    print(f"{len(pairs)} cases, {wrong} wrong")
    return 1 if wrong or not pairs else 0


if sys.argv[1] == "make":
    make(int(sys.argv[3]), int(sys.argv[4]))
else:
    sys.exit(check())

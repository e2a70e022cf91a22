"""Our .proto files against the SDK's: numbers, names and types of what both have are the same.

Ours may lack messages, methods and fields. Run with the newest version.
"""

import importlib
import pkgutil
from pathlib import Path

import pytest

from conftest import VERSION

if VERSION.startswith("2.10."):
    pytest.skip("the newest version knows all that the older one does", allow_module_level=True)

import scalekit.v1  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool  # noqa: E402
from grpc_tools import protoc  # noqa: E402

PROTO = Path(__file__).parents[3] / "proto"


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    out = tmp_path_factory.mktemp("descriptors") / "set.bin"
    include = Path(protoc.__file__).parent / "_proto"
    files = [str(path.relative_to(PROTO)) for path in sorted(PROTO.glob("scalekit/**/*.proto"))]
    arguments = ["protoc", f"-I{PROTO}", f"-I{include}", f"--descriptor_set_out={out}", *files]
    assert protoc.main(arguments) == 0
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


@pytest.fixture(scope="module")
def theirs():
    for module in pkgutil.walk_packages(scalekit.v1.__path__, "scalekit.v1."):
        if module.name.endswith("_pb2"):
            importlib.import_module(module.name)
    return descriptor_pool.Default()


def proto_of(descriptor, kind):
    proto = kind()
    descriptor.CopyToProto(proto)
    return proto


def field_facts(field, message):
    """What decides how a field looks on the wire and in JSON."""
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    return (field.name, field.type, field.label, field.type_name, field.proto3_optional, oneof)


def message_differences(message, name, theirs):
    try:
        other = proto_of(theirs.FindMessageTypeByName(name), descriptor_pb2.DescriptorProto)
    except KeyError:
        return [f"{name}: the SDK has no such message"]
    numbers = {field.number: field_facts(field, other) for field in other.field}
    found = []
    for field in message.field:
        facts = field_facts(field, message)
        if numbers.get(field.number) != facts:
            found.append(f"{name}.{field.number}: ours {facts}, the SDK's {numbers.get(field.number)}")
    for nested in message.nested_type:
        found += message_differences(nested, f"{name}.{nested.name}", theirs)
    return found


def enum_differences(enum, name, theirs):
    try:
        other = {value.name: value.number for value in theirs.FindEnumTypeByName(name).values}
    except KeyError:
        return [f"{name}: the SDK has no such enum"]
    return [f"{name}.{v.name}: ours {v.number}, the SDK's {other.get(v.name)}" for v in enum.value if other.get(v.name) != v.number]


def service_differences(service, name, theirs):
    try:
        other = theirs.FindServiceByName(name)
    except KeyError:
        return [f"{name}: the SDK has no such service"]
    found = []
    for method in service.method:
        there = other.methods_by_name.get(method.name)
        types = there and (f".{there.input_type.full_name}", f".{there.output_type.full_name}")
        if types != (method.input_type, method.output_type):
            found.append(f"{name}/{method.name}: ours {(method.input_type, method.output_type)}, the SDK's {types}")
    return found


def differences(ours, theirs):
    found = []
    for file in ours.file:
        for message in file.message_type:
            found += message_differences(message, f"{file.package}.{message.name}", theirs)
        for enum in file.enum_type:
            found += enum_differences(enum, f"{file.package}.{enum.name}", theirs)
        for service in file.service:
            found += service_differences(service, f"{file.package}.{service.name}", theirs)
    return found


def test_our_messages_are_the_sdks(ours, theirs):
    assert sum(len(file.message_type) for file in ours.file) > 20
    assert differences(ours, theirs) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda file: setattr(file.message_type[0].field[0], "number", 77), ".77: ours"),
        (lambda file: setattr(file.message_type[0].field[0], "name", "mail"), "'mail'"),
        (lambda file: setattr(file.message_type[0].field[0], "type", 3), ".1: ours"),
        (lambda file: setattr(file.enum_type[0].value[1], "number", 9), "ours 9"),
        (lambda file: setattr(file.service[0].method[0], "name", "Dance"), "/Dance: ours"),
        (lambda file: setattr(file.message_type[0], "name", "Dance"), "no such message"),
    ],
)
def test_drift_is_named(ours, theirs, change, named):
    changed = descriptor_pb2.FileDescriptorSet()
    changed.CopyFrom(ours)
    change(next(file for file in changed.file if file.package == "scalekit.v1.auth.passwordless"))
    found = differences(changed, theirs)
    assert any(named in difference for difference in found), found

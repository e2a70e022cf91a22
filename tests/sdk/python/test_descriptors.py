"""Our .proto files against the SDK's: names, numbers, types, REST bindings, success statuses and field rules are the same.

A service that we describe, we describe whole; errdetails has what is sent alone. Run with the newest version.
"""

import importlib
import pkgutil
from pathlib import Path

import pytest

from conftest import VERSION

if VERSION.startswith("2.10."):
    pytest.skip("the newest version knows all that the older one does", allow_module_level=True)

import scalekit.v1  # noqa: E402
from buf.validate import validate_pb2  # noqa: E402
from google.api import annotations_pb2, field_behavior_pb2  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool, unknown_fields  # noqa: E402
from grpc_tools import protoc  # noqa: E402
from protoc_gen_openapiv2.options import annotations_pb2 as openapi_pb2  # noqa: E402

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


def without_texts(rules):
    """Field rules without the sentences that the cloud shows for CEL."""
    copy = type(rules)()
    copy.CopyFrom(rules)
    for rule in copy.cel:
        rule.ClearField("message")
    return str(copy)


def field_facts(field, message):
    """What decides how a field looks on the wire and in JSON, and which values are taken."""
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    rules = without_texts(field.options.Extensions[validate_pb2.field])
    behavior = list(field.options.Extensions[field_behavior_pb2.field_behavior])
    wire = (field.name, field.type, field.label, field.type_name, field.proto3_optional, oneof)
    return (*wire, field.options.deprecated, behavior, rules)


def missing(ours, others, name):
    return [f"{name}: {other} of the SDK is missing" for other in others if other not in ours]


def message_differences(message, name, theirs, is_whole):
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
    rules = [without_texts(m.options.Extensions[validate_pb2.message]) for m in (message, other)]
    if rules[0] != rules[1]:
        found.append(f"{name}: our rules {rules[0]}, the SDK's {rules[1]}")
    if is_whole:
        found += missing([field.name for field in message.field], [field.name for field in other.field], name)
        found += missing([m.name for m in message.nested_type], [m.name for m in other.nested_type], name)
    for nested in message.nested_type:
        found += message_differences(nested, f"{name}.{nested.name}", theirs, is_whole)
    for enum in message.enum_type:
        found += enum_differences(enum, f"{name}.{enum.name}", theirs)
    return found


def enum_differences(enum, name, theirs):
    try:
        other = {value.name: value.number for value in theirs.FindEnumTypeByName(name).values}
    except KeyError:
        return [f"{name}: the SDK has no such enum"]
    ours = {value.name: value.number for value in enum.value}
    found = [f"{name}.{v}: ours {number}, the SDK's {other.get(v)}" for v, number in ours.items() if other.get(v) != number]
    return found + missing(ours, other, name)


# Numbers of proto/vestibule/options.proto.
IS_EMULATED, IS_PUBLIC, SUCCESS_STATUS = 50001, 50002, 50003


def own_options(options):
    return {field.field_number: field.data for field in unknown_fields.UnknownFieldSet(options)}


def method_facts(method):
    """Messages and REST bindings."""
    http = str(method.options.Extensions[annotations_pb2.http])
    return (method.input_type, method.output_type, method.options.deprecated, http)


def their_success_status(options):
    documented = [int(code) for code in options.Extensions[openapi_pb2.openapiv2_operation].responses]
    return next((code for code in documented if 200 <= code < 300), 200)


def is_public_there(options):
    option = descriptor_pool.Default().FindExtensionByName("scalekit.v1.options.auth_option")
    return options.Extensions[option].authentication_type == 1  # NONE


def service_differences(service, name, theirs):
    try:
        other = proto_of(theirs.FindServiceByName(name), descriptor_pb2.ServiceDescriptorProto)
    except KeyError:
        return [f"{name}: the SDK has no such service"]
    there = {method.name: method for method in other.method}
    found = missing([method.name for method in service.method], there, name)
    for method in service.method:
        if method.name not in there:
            found.append(f"{name}/{method.name}: ours alone")
            continue
        options, own = there[method.name].options, own_options(method.options)
        theirs_all = (*method_facts(there[method.name]), their_success_status(options), is_public_there(options))
        ours_all = (*method_facts(method), own.get(SUCCESS_STATUS, 200), bool(own.get(IS_PUBLIC)))
        if ours_all != theirs_all:
            found.append(f"{name}/{method.name}: ours {ours_all}, the SDK's {theirs_all}")
    return found


def differences(ours, theirs):
    found = []
    for file in ours.file:
        is_whole = file.package != "scalekit.v1.errdetails"
        if is_whole and file.package.startswith("scalekit."):
            other = proto_of(theirs.FindFileByName(file.name), descriptor_pb2.FileDescriptorProto)
            for kind in ("message_type", "enum_type", "service"):
                names = [[entry.name for entry in getattr(side, kind)] for side in (file, other)]
                found += missing(names[0], names[1], file.name)
        for message in file.message_type:
            found += message_differences(message, f"{file.package}.{message.name}", theirs, is_whole)
        for enum in file.enum_type:
            found += enum_differences(enum, f"{file.package}.{enum.name}", theirs)
        for service in file.service:
            found += service_differences(service, f"{file.package}.{service.name}", theirs)
    return found


def test_our_messages_are_the_sdks(ours, theirs):
    assert sum(len(file.message_type) for file in ours.file) > 300
    assert sum(len(service.method) for file in ours.file for service in file.service) > 150
    assert differences(ours, theirs) == []


def http_of(file):
    return file.service[0].method[0].options.Extensions[annotations_pb2.http]


def rules_of(file):
    return file.message_type[0].field[0].options.Extensions[validate_pb2.field]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda file: setattr(file.message_type[0].field[0], "number", 77), ".77: ours"),
        (lambda file: setattr(file.message_type[0].field[0], "name", "mail"), "'mail'"),
        (lambda file: setattr(file.message_type[0].field[0], "type", 3), ".1: ours"),
        (lambda file: setattr(file.enum_type[0].value[1], "number", 9), "ours 9"),
        (lambda file: setattr(file.service[0].method[0], "name", "Dance"), "/Dance: ours"),
        (lambda file: setattr(file.message_type[0], "name", "Dance"), "no such message"),
        (lambda file: setattr(http_of(file), "post", "/api/v1/dance"), "/api/v1/dance"),
        (lambda file: setattr(http_of(file), "body", ""), "/SendPasswordlessEmail: ours"),
        (lambda file: setattr(rules_of(file), "required", False), ".1: ours"),
        (lambda file: setattr(rules_of(file).string, "max_len", 321), "max_len: 321"),
        (lambda file: file.message_type[0].field.pop(), "of the SDK is missing"),
        (lambda file: file.service[0].method.pop(), "of the SDK is missing"),
        (lambda file: file.message_type.pop(), "of the SDK is missing"),
    ],
)
def test_drift_is_named(ours, theirs, change, named):
    changed = descriptor_pb2.FileDescriptorSet()
    changed.CopyFrom(ours)
    change(next(file for file in changed.file if file.package == "scalekit.v1.auth.passwordless"))
    found = differences(changed, theirs)
    assert any(named in difference for difference in found), found

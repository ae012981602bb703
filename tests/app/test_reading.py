from __future__ import annotations

import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from app.errors import InputError
from app.instances.model import Instance
from app.instances.reading import read_instances
from app.instances.reference import reference
from app.instances.schema import json_schema, schema
from app.synthesis import synth

ROOT = Path(__file__).resolve().parents[2]
FINE = "namespace: ml\nstorage: {size: 1Ti, nfs: {server: a, path: /aim}}\n"
STORED = "namespace: ml\nstorage: {size: 1Ti, dynamic: {}}\n"


def refusal(folder: Path, *texts: str) -> str:
    """What synthesis says about instance files a.yaml, b.yaml ... with these texts."""
    source = folder / "instances"
    source.mkdir()
    for name, text in zip("abcdef", texts, strict=False):
        (source / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        synth(source, folder / "dist")
    assert not (folder / "dist").exists()
    return str(error.value).replace(f"{source}/", "")


SHAPES = {
    "": "a.yaml: is empty; write a mapping",
    "- a\n- b\n": "a.yaml: is a list; write a mapping",
    "namespace: [a\n": "a.yaml: line 2, column 1: ",
    "namespace: ml\nnamespace: ml\n": "write each key once",
    "namespace: ml\nstorage:\n\tsize: 1Ti\n": "indent with spaces, not tabs",
    "namespace: !!python/object/apply:os.system [ls]\n": "leave the tag out",
    "namespace: ml\n---\nnamespace: ml\n": "write one instance a file",
    "storage: {size: 1Ti, dynamic: {}}\n": "a.yaml: namespace: missing",
    "namespace: ml\n": "a.yaml: storage: missing",
    "namespace: !!int x\n": "write it as plain YAML",
    "namespace: 2020-13-45\n": "write it as plain YAML",
    "[" * 3000: "write it as plain YAML",
    "namespace: ml\nstorage: {size: 1Ti, hostpath: {path: /x}}\n": "hostpath: unknown key; did you mean hostPath?",
    STORED + f"name: {'a' * 1000}\n": "aaa ...: write at most 63",
    STORED + "sevrer: {}\n": "a.yaml: sevrer: unknown key; did you mean server?",
    STORED + "server: {wrokers: 2}\n": "a.yaml: server.wrokers: unknown key; did you mean workers?",
    STORED + "server: {tolerations: [{kee: a}]}\n": "a.yaml: server.tolerations[0].kee: unknown key; did you mean key?",
    STORED + "server: {zzz: 1}\n": "a.yaml: server.zzz: unknown key; known here: tracking, ingress, route, allowFrom",
    STORED + "server: {workers: two}\n": "a.yaml: server.workers: 'two': should be a valid integer",
    STORED + "server: {workers: 0}\n": "a.yaml: server.workers: 0: should be greater than or equal to 1",
    STORED + "server: {service: {port: 70000}}\n": "a.yaml: server.service.port: 70000: should be less than or equal",
    STORED + "server: {service: {type: Open}}\n": "should be 'ClusterIP', 'NodePort' or 'LoadBalancer'",
    STORED + "server: {workers: 65}\n": "a.yaml: server.workers: 65: should be less than or equal to 64",
    STORED + 'server: {env: [{name: A, value: "b\\0"}]}\n': "a.yaml: line 3, column 33: 'b\\x00': write a text without",
    STORED + 'name: "\\ud800"\n': "a.yaml: line 3, column 7: '\\ud800': write a text without NUL characters",
    "a: &a [b, c]\n"
    + "".join(f"{x}: &{x} [{', '.join(9 * ['*' + y])}]\n" for x, y in zip("bcdefghi", "abcdefgh", strict=True)): (
        "a.yaml: contains itself, or over 10000 values; write it without anchors"
    ),
    "a: &a {k: v}\n"
    + "".join(
        f"{x}: &{x} {{<<: [{', '.join(9 * ['*' + y])}]}}\n" for x, y in zip("bcdefghi", "abcdefgh", strict=True)
    ): "a.yaml: contains itself, or over 10000 values",
    STORED + "server: &a {labels: *a}\n": "a.yaml: contains itself",
    "#" * 2**19: "a.yaml: has 524288 bytes; write at most 256 KiB",
    "namespace: ml\nstorage: {size: 1Ti, hostPath: {path: /a}}\n": "a.yaml: storage.hostPath.node: missing; write it",
    FINE + "server: {login: {passwords: hunter2, cookieSecret: {name: a, key: b}}}\n": (
        "a.yaml: server.login.passwords: is a str; write a mapping with keys of name, key, which are those of a Secret"
    ),
    FINE + "server: {login: {passwords: {name: a, key: b, ann: hunter2}, cookieSecret: {name: a, key: b}}}\n": (
        "a.yaml: server.login.passwords.ann: unknown key; known here: name, key, which are those of a Secret or"
    ),
    "namespace: ml\nstorage: {size: 1Ti}\n": "a.yaml: storage: {'size': '1Ti'}: write exactly one of nfs, csi",
    "namespace: ml\nstorage: {dynamic: {}, hostPath: {path: /a, node: b}}\n": "this has dynamic and hostPath",
    "namespace: ml\nstorage: {size: 1Ti, dynamic: {}, accessMode: ReadOnlyMany}\n": "a.yaml: storage.accessMode: ",
}


@pytest.mark.parametrize("text", SHAPES)
def test_a_file_of_the_wrong_shape_is_named_with_its_key(tmp_path: Path, text: str) -> None:
    """The message names the file, the key, the value and what to write instead."""
    assert SHAPES[text] in refusal(tmp_path, text)


VALUES = {
    "namespace: ml\nstorage: {size: zero, dynamic: {}}\n": "a.yaml: storage.size: 'zero': write a Kubernetes quantity",
    "namespace: ml\nstorage: {size: 0, dynamic: {}}\n": "a.yaml: storage.size: '0': write an amount above zero",
    "namespace: ml\nstorage: {dynamic: {}}\n": "a.yaml: storage.size: None: write a Kubernetes quantity",
    FINE.replace("/aim", "aim"): "a.yaml: storage.nfs.path: 'aim': write an absolute path",
    FINE.replace("server: a", "server: ''"): "a.yaml: storage.nfs.server: '': write the host name",
    FINE.replace("ml", "M L"): "a.yaml: namespace: 'M L': write at most 63 lower-case",
    STORED.replace("1Ti", "1TB"): "a.yaml: storage.size: '1TB': write a Kubernetes quantity such as 512Mi, 10Gi or 1Ti",
    FINE + "name: 1st\n": "a.yaml: name: '1st': write at most 63 lower-case",
    FINE + f"name: {'a' * 41}\n": "write at most 40 characters, so that the names derived from it fit",
    FINE + "image: aim 3\n": "a.yaml: image: 'aim 3': write [registry/]repository",
    FINE + "imagePullSecrets: [A]\n": "a.yaml: imagePullSecrets: 'A': ",
    FINE + "server: {resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}\n": (
        "a.yaml: server.resources.limits[memory]: '1Gi': write at least the request, 2Gi"
    ),
    FINE + "server: {service: {type: NodePort}}\n": "a.yaml: server.service.type: 'NodePort': write login, so that",
    FINE + "server: {deploymentName: A}\n": "a.yaml: server.deploymentName: 'A': ",
    FINE + "server: {env: [{name: A, value: b}, {name: A, value: c}]}\n": "server.env[1].name: 'A': write it once",
    FINE + "server: {env: [{name: a b, value: b}]}\n": "server.env[0].name: 'a b': write a name",
    FINE + "server: {env: [{name: A}]}\n": "server.env[0]: {'name': 'A'}: write exactly one of value, valueFrom",
    FINE + "server: {tolerations: [{operator: Exists, effect: NoSchedule}]}\n": "server.tolerations[0].effect: ",
    FINE
    + "server: {tolerations: [{key: a, value: b, tolerationSeconds: 3}]}\n": "server.tolerations[0].tolerationSeconds",
    FINE + "server: {tolerations: [{value: b}]}\n": "server.tolerations[0].key: None: write the key",
    FINE + "server: {allowFrom: [{ipBlock: {cidr: 10.0.0.1}}]}\n": "server.allowFrom[0].ipBlock.cidr: '10.0.0.1': ",
    FINE + "server: {allowFrom: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}\n": "write a network within",
    FINE + "server: {allowFrom: [{podSelector: {}}]}\n": "write exactly one of namespaceSelector, ipBlock",
    FINE + f"server: {{env: [{{name: A, value: {'b' * 50000}}}]}}\n": "server.env: '50001 bytes': write at most 48 KiB",
    FINE + "server: {allowTo: [{ipBlock: {cidr: 10.0.0.1}}]}\n": "server.allowTo[0].ipBlock.cidr: '10.0.0.1': ",
    FINE + "server: {allowTo: [{ipBlock: {cidr: 10.0.0.0/8}, ports: []}]}\n": "server.allowTo[0].ports: []: ",
    FINE + "server: {allowedHosts: ['a b']}\n": "a.yaml: server.allowedHosts[0]: 'a b': write a host name",
    FINE + "server: {supervisor: Image, supervisorName: a}\n": "a.yaml: server.supervisorName: 'a': leave it out",
    FINE.replace("/aim", "/aim, mountOptions: [nolock]"): "a.yaml: storage.nfs.mountOptions: 'nolock': leave it out",
    STORED.replace("dynamic: {}", "hostPath: {path: /, node: a}"): "a.yaml: storage.hostPath.path: '/': write a dir",
    FINE + "server: {labels: {My_Key: bad!}}\n": "a.yaml: server.labels[My_Key]: 'bad!': ",
    FINE
    + "server: {labels: {cdk8s.io/metadata.addr: a}}\n": "server.labels[cdk8s.io/metadata.addr]: 'a': leave it out",
    FINE
    + "server: {resources: {limits: {memroy: 1Gi}}}\n": "server.resources.limits[memroy]: '1Gi': write cpu, memory",
    FINE + "server: {resources: {requests: {nvidia.com/gpu: 1}}}\n": "write it under limits too, 1: Kubernetes",
    FINE + "server: {allowFrom: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}\n": "addresses have no labels",
    FINE + "server: {env: [{name: A, valueFrom: {secretKeyRef: {name: A B, key: k}}}]}\n": "secretKeyRef.name: 'A B'",
    FINE.replace("size", "annotations: {kustomize.toolkit.fluxcd.io/prune: enabled}, size"): "it could delete the runs",
    "namespace: ml\nstorage: {labels: {a: b}, accessMode: ReadWriteOnce, existingClaim: {name: c}}\n": "leave it out",
    "namespace: ml\nstorage: {size: 1Gi, dynamic: {}, claimName: ''}\n": "a.yaml: storage.claimName: '': write",
    FINE.replace("ml", "default") + "createNamespace: true\n": "a.yaml: namespace: 'default': name another",
}


@pytest.mark.parametrize("text", VALUES)
def test_a_value_that_cannot_work_is_named_by_its_key_in_the_file(tmp_path: Path, text: str) -> None:
    """What a construct refuses is said in the words of the file."""
    assert VALUES[text] in refusal(tmp_path, text)


def test_two_instances_on_one_store_are_refused(tmp_path: Path) -> None:
    """A second server on a store would destroy its index."""
    message = refusal(tmp_path, FINE, FINE.replace("ml", "nlp"))
    assert message == (
        "b.yaml: storage: 'NFS export a:/aim': it is already served by a/server; one store has one server"
    )


def test_two_files_that_make_one_object_are_refused(tmp_path: Path) -> None:
    """The second of two objects of one name would replace the first."""
    other = FINE.replace("/aim", "/other") + "server: {deploymentName: a}\n"
    assert "b.yaml: server.deploymentName: 'Deployment ml/a': it is already made by a/server; choose" in refusal(
        tmp_path, FINE, other
    )


def test_two_instances_of_one_name_are_refused(tmp_path: Path) -> None:
    """Each would take the other's pod for its own, whatever else they are called."""
    other = FINE.replace("/aim", "/other").replace("size", "claimName: other, volumeName: other, size") + "name: a\n"
    assert "b.yaml: name: 'server ml/a': it is already made by a/server; choose" in refusal(tmp_path, FINE, other)


def test_a_namespace_has_one_owner(tmp_path: Path) -> None:
    """Two files that create one namespace are refused."""
    twice = [STORED + "createNamespace: true\n"] * 2
    message = "b.yaml: namespace: 'Namespace ml': it is already made by a/namespace; make it once, without createNames"
    assert message in refusal(tmp_path, *twice)


def test_every_mistake_of_shape_is_told_at_once(tmp_path: Path) -> None:
    """Who mends a file should not have to run it five times."""
    assert len(refusal(tmp_path, "a: 1\nb: 2\n").splitlines()) == 4


@pytest.mark.parametrize("name", ["A.yaml", "a b.yaml", "a.b.yaml"])
def test_a_file_whose_name_cannot_be_a_manifests_is_refused(tmp_path: Path, name: str) -> None:
    """The output is named after the file."""
    (tmp_path / name).write_text(FINE, encoding="utf-8")
    with pytest.raises(InputError, match="name the file with lower-case letters"):
        read_instances(tmp_path)


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    """Both would be written to one file."""
    for name in ("a.yaml", "a.yml"):
        (tmp_path / name).write_text(FINE, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.yml: a\.yaml has the same name"):
        read_instances(tmp_path)


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    """No instance at all is a mistake in the path, not a wish to have none."""
    with pytest.raises(InputError, match="no instance file in it"):
        read_instances(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        read_instances(tmp_path / "x")


@pytest.mark.parametrize("name", ["a.yaml", "defaults.yaml"])
def test_a_file_that_never_ends_is_refused(tmp_path: Path, name: str) -> None:
    """A named pipe would be waited on for ever, and a device read for ever."""
    (tmp_path / "b.yaml").write_text(FINE, encoding="utf-8")
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: is no regular file"):
        read_instances(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=f"{name}: is no regular file"):
        read_instances(tmp_path)


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """A file in another encoding is said to be one."""
    (tmp_path / "a.yaml").write_bytes(b"namespace: \xff\n")
    with pytest.raises(InputError, match="in UTF-8"):
        read_instances(tmp_path)


def shared(folder: Path, defaults: str, own: str) -> Instance:
    """An instance that has something of its own, and shares the rest."""
    (folder / "defaults.yaml").write_text(defaults, encoding="utf-8")
    (folder / "a.yaml").write_text(own, encoding="utf-8")
    (source,) = read_instances(folder)
    return source.instance


def test_what_instances_share_is_in_each(tmp_path: Path) -> None:
    """Key by key: what an instance says itself wins, and an empty key means the project's default."""
    defaults = """
        namespace: ml
        image: registry.example.com/aim:1
        storage: {size: 1Ti, nfs: {server: nfs.example.com, path: /shared}, labels: {team: a, tier: gold}}
        server: {workers: 4, basePath: /aim}
    """
    own = "storage: {nfs: {path: /own}, labels: {team: b}}\nserver: {workers: }\n"
    instance = shared(tmp_path, defaults, own)
    assert instance.namespace == "ml"
    assert instance.storage.nfs
    assert (instance.storage.nfs.server, instance.storage.nfs.path) == ("nfs.example.com", "/own")
    assert instance.storage.labels == {"team": "b", "tier": "gold"}
    assert (instance.server.workers, instance.server.base_path) == (2, "/aim")


def test_a_source_of_its_own_replaces_the_shared_one(tmp_path: Path) -> None:
    """Storage comes from one place: who writes `dynamic` does not inherit `nfs`."""
    defaults = "namespace: ml\nstorage: {size: 1Ti, nfs: {server: a, path: /a}}\n"
    instance = shared(tmp_path, defaults, "storage: {dynamic: {}}\n")
    assert instance.storage.dynamic
    assert instance.storage.nfs is None


@pytest.mark.parametrize("defaults", ["", "# none yet\n"])
def test_what_is_shared_may_be_nothing(tmp_path: Path, defaults: str) -> None:
    """An empty file is no mistake."""
    assert shared(tmp_path, defaults, FINE).namespace == "ml"


def test_an_empty_key_leaves_out_what_is_shared(tmp_path: Path) -> None:
    """Also one that would be something where nothing is shared."""
    tracking = "server: {tracking: {}}\n"
    assert shared(tmp_path, tracking, FINE).server.tracking
    assert shared(tmp_path, tracking, f"{FINE}server: {{tracking: }}\n").server.tracking is None


@pytest.mark.parametrize(
    ("defaults", "own", "message"),
    [
        ("server: {worker: 1}\n", FINE, "defaults.yaml: server.worker: unknown key; did you mean workers"),
        ("server: {workers: 0}\n", FINE, "defaults.yaml: server.workers: 0"),
        ("name: a\n", FINE, "defaults.yaml: name: 'a': leave it out: each instance has one of its own"),
        ("", f"{FINE}server: &a {{x: *a}}\n", "a.yaml: contains itself"),
        ("server: &a {x: *a}\n", FINE, "defaults.yaml: contains itself"),
        ("server: {workers: 1}\n", FINE + "server: {workers: 0}\n", "a.yaml: server.workers: 0"),
        ("server: {workers: 1}\n", "storage: {size: 1Gi, dynamic: {}}\n", "a.yaml: namespace: missing"),
        ("- a\n", FINE, "defaults.yaml: is a list; write a mapping"),
    ],
)
def test_what_is_wrong_is_blamed_on_the_file_that_says_it(
    tmp_path: Path, defaults: str, own: str, message: str
) -> None:
    """A key is looked for where it was written."""
    with pytest.raises(InputError, match=message):
        shared(tmp_path, defaults, own)


def test_the_committed_schema_and_reference_are_fresh() -> None:
    """Editors check by the model that synthesis checks by; `make schema` mends them."""
    assert (ROOT / "instances/schema.json").read_text(encoding="utf-8") == schema()
    assert (ROOT / "docs/reference/instance-file.md").read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize(
    "file", sorted([*ROOT.glob("instances/*.yaml"), *ROOT.glob("examples/*.yaml")]), ids=lambda f: f.stem
)
def test_every_instance_file_fits_the_schema(file: Path) -> None:
    """The schema accepts what the project itself writes, and nothing with a key too many."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    fits = jsonschema.Draft202012Validator(json_schema())
    assert list(fits.iter_errors(content)) == []
    assert list(fits.iter_errors({**content, "x": 1})) != []
    assert list(fits.iter_errors({**content, "storage": {"size": "1Gi"}})) != []

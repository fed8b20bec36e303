"""`dashscope.types` is loaded on first use, and its values unpickle across versions."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
import typing

import pytest

import dashscope
from dashscope import types

# Pickles of version 0.1.0, whose classes were in other modules, with the `repr` of the value.
PICKLES = {
    "batch_result": (
        (
            "gASVmQQAAAAAAACMFWRhc2hzY29wZS5fYmF0Y2gucm93c5SMC0JhdGNoUmVzdWx0lJOUKYGUfZQojAVp"
            "bmRleJRLAIwFaW5wdXSUfZSMBHRleHSUjAVBbGljZZRzjAZvdXRwdXSUjAVoZWxsb5SMBWVycm9ylE6M"
            "CnByZWRpY3Rpb26UjB9kYXNoc2NvcGUucmVzb3VyY2VzLnByZWRpY3Rpb25zlIwKUHJlZGljdGlvbpST"
            "lCmBlH2UKIwCaWSUjAJwMZSMBnN0YXR1c5SMCXN1Y2NlZWRlZJSMBW1vZGVslIwKb3duZXIvbmFtZZSM"
            "B3ZlcnNpb26UjAJ2MZRoBn2UjAR0ZXh0lIwFQWxpY2WUc2gKXZQojAVoZWxsb5R9lIwBYZRLAXNlaAxO"
            "jARsb2dzlIwLNTAlfHh8IDEvMgqUjAdtZXRyaWNzlGgOjAdNZXRyaWNzlJOUKYGUfZQojAxwcmVkaWN0"
            "X3RpbWWURz/gAAAAAAAAjAp0b3RhbF90aW1llEc/+AAAAAAAAIwDcmF3lH2UKIwMcHJlZGljdF90aW1l"
            "lEc/4AAAAAAAAIwKdG90YWxfdGltZZRHP/gAAAAAAACMBnRva2Vuc5RLA3V1YowKY3JlYXRlZF9hdJSM"
            "CGRhdGV0aW1llIwIZGF0ZXRpbWWUk5RDCgfoBQEMAAAAAACUaDGMCHRpbWV6b25llJOUaDGMCXRpbWVk"
            "ZWx0YZSTlEsASwBLAIeUUpSFlFKUhpRSlIwKc3RhcnRlZF9hdJRoM0MKB+gFAQwAAQAAAJRoPIaUUpSM"
            "DGNvbXBsZXRlZF9hdJRoM0MKB+gFAQwAAgAAAJRoPIaUUpSMCGRlYWRsaW5llE6MCmRlcGxveW1lbnSU"
            "TowGc291cmNllIwDYXBplIwMZGF0YV9yZW1vdmVklImMBHVybHOUaA6MDlByZWRpY3Rpb25VUkxzlJOU"
            "KYGUfZQojANnZXSUjClodHRwczovL2FwaS5leGFtcGxlLmNvbS92MS9wcmVkaWN0aW9ucy9wMZSMBmNh"
            "bmNlbJSMMGh0dHBzOi8vYXBpLmV4YW1wbGUuY29tL3YxL3ByZWRpY3Rpb25zL3AxL2NhbmNlbJSMBnN0"
            "cmVhbZSMHGh0dHBzOi8vYXBpLmV4YW1wbGUuY29tL3MvcDGUjAN3ZWKUTmgrfZQojANnZXSUaFKMBmNh"
            "bmNlbJRoVIwGc3RyZWFtlGhWdXViaCt9lCiMAmlklGgUjAZzdGF0dXOUaBaMBW1vZGVslGgYjAd2ZXJz"
            "aW9ulGgajAVpbnB1dJRoG4wGb3V0cHV0lGgejAVlcnJvcpROjARsb2dzlGgjjAdtZXRyaWNzlGgsjApj"
            "cmVhdGVkX2F0lIwUMjAyNC0wNS0wMVQxMjowMDowMFqUjApzdGFydGVkX2F0lIwUMjAyNC0wNS0wMVQx"
            "MjowMDowMVqUjAxjb21wbGV0ZWRfYXSUjBQyMDI0LTA1LTAxVDEyOjAwOjAyWpSMBnNvdXJjZZRoSowM"
            "ZGF0YV9yZW1vdmVklImMBHVybHOUaFh1dWKMD2Zyb21fY2hlY2twb2ludJSJdWIu"
        ),
        (
            "BatchResult(index=0, input={'text': 'Alice'}, output='hello', error=None, predic"
            "tion=Prediction(id='p1', status='succeeded', model='owner/name', version='v1', i"
            "nput={'text': 'Alice'}, output=['hello', {'a': 1}], error=None, logs='50%|x| 1/2"
            "\\n', metrics=Metrics(predict_time=0.5, total_time=1.5), created_at=datetime.date"
            "time(2024, 5, 1, 12, 0, tzinfo=datetime.timezone.utc), started_at=datetime.datet"
            "ime(2024, 5, 1, 12, 0, 1, tzinfo=datetime.timezone.utc), completed_at=datetime.d"
            "atetime(2024, 5, 1, 12, 0, 2, tzinfo=datetime.timezone.utc), deadline=None, depl"
            "oyment=None, source='api', data_removed=False, urls=PredictionURLs(get='https://"
            "api.example.com/v1/predictions/p1', cancel='https://api.example.com/v1/predictio"
            "ns/p1/cancel', stream='https://api.example.com/s/p1', web=None)), from_checkpoin"
            "t=False)"
        ),
    ),
    "batch_result_failed": (
        (
            "gASV6AQAAAAAAACMFWRhc2hzY29wZS5fYmF0Y2gucm93c5SMC0JhdGNoUmVzdWx0lJOUKYGUfZQojAVp"
            "bmRleJRLAYwFaW5wdXSUfZSMBHRleHSUjANCb2KUc4wGb3V0cHV0lE6MBWVycm9ylIwRZGFzaHNjb3Bl"
            "Ll9lcnJvcnOUjAhfcmVzdG9yZZSTlGgMjApNb2RlbEVycm9ylJOUjCdvd25lci9uYW1lIChwcmVkaWN0"
            "aW9uIHAyKSBmYWlsZWQ6IGJvb22UhZSGlFKUfZSMCnByZWRpY3Rpb26UjB9kYXNoc2NvcGUucmVzb3Vy"
            "Y2VzLnByZWRpY3Rpb25zlIwKUHJlZGljdGlvbpSTlCmBlH2UKIwCaWSUjAJwMpSMBnN0YXR1c5SMBmZh"
            "aWxlZJSMBW1vZGVslIwKb3duZXIvbmFtZZSMB3ZlcnNpb26UjAJ2MZRoBn2UjAR0ZXh0lIwFQWxpY2WU"
            "c2gKTmgLjARib29tlIwEbG9nc5SMCzUwJXx4fCAxLzIKlIwHbWV0cmljc5RoF4wHTWV0cmljc5STlCmB"
            "lH2UKIwMcHJlZGljdF90aW1llEc/4AAAAAAAAIwKdG90YWxfdGltZZRHP/gAAAAAAACMA3Jhd5R9lCiM"
            "DHByZWRpY3RfdGltZZRHP+AAAAAAAACMCnRvdGFsX3RpbWWURz/4AAAAAAAAjAZ0b2tlbnOUSwN1dWKM"
            "CmNyZWF0ZWRfYXSUjAhkYXRldGltZZSMCGRhdGV0aW1llJOUQwoH6AUBDAAAAAAAlGg3jAh0aW1lem9u"
            "ZZSTlGg3jAl0aW1lZGVsdGGUk5RLAEsASwCHlFKUhZRSlIaUUpSMCnN0YXJ0ZWRfYXSUaDlDCgfoBQEM"
            "AAEAAACUaEKGlFKUjAxjb21wbGV0ZWRfYXSUaDlDCgfoBQEMAAIAAACUaEKGlFKUjAhkZWFkbGluZZRO"
            "jApkZXBsb3ltZW50lE6MBnNvdXJjZZSMA2FwaZSMDGRhdGFfcmVtb3ZlZJSJjAR1cmxzlGgXjA5QcmVk"
            "aWN0aW9uVVJMc5STlCmBlH2UKIwDZ2V0lIwpaHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20vdjEvcHJlZGlj"
            "dGlvbnMvcDGUjAZjYW5jZWyUjDBodHRwczovL2FwaS5leGFtcGxlLmNvbS92MS9wcmVkaWN0aW9ucy9w"
            "MS9jYW5jZWyUjAZzdHJlYW2UjBxodHRwczovL2FwaS5leGFtcGxlLmNvbS9zL3AxlIwDd2VilE5oMX2U"
            "KIwDZ2V0lGhYjAZjYW5jZWyUaFqMBnN0cmVhbZRoXHV1YmgxfZQojAJpZJRoHYwGc3RhdHVzlGgfjAVt"
            "b2RlbJRoIYwHdmVyc2lvbpRoI4wFaW5wdXSUaCSMBm91dHB1dJROjAVlcnJvcpRoJ4wEbG9nc5RoKYwH"
            "bWV0cmljc5RoMowKY3JlYXRlZF9hdJSMFDIwMjQtMDUtMDFUMTI6MDA6MDBalIwKc3RhcnRlZF9hdJSM"
            "FDIwMjQtMDUtMDFUMTI6MDA6MDFalIwMY29tcGxldGVkX2F0lIwUMjAyNC0wNS0wMVQxMjowMDowMlqU"
            "jAZzb3VyY2WUaFCMDGRhdGFfcmVtb3ZlZJSJjAR1cmxzlGhedXVic2JoFmgajA9mcm9tX2NoZWNrcG9p"
            "bnSUiXViLg=="
        ),
        (
            "BatchResult(index=1, input={'text': 'Bob'}, error=ModelError('owner"
            "/name (prediction p2) failed: boom'), prediction=Prediction(id='p2', status='fai"
            "led', model='owner/name', version='v1', input={'text': 'Alice'}, output=None, er"
            "ror='boom', logs='50%|x| 1/2\\n', metrics=Metrics(predict_time=0.5, total_time=1."
            "5), created_at=datetime.datetime(2024, 5, 1, 12, 0, tzinfo=datetime.timezone.utc"
            "), started_at=datetime.datetime(2024, 5, 1, 12, 0, 1, tzinfo=datetime.timezone.u"
            "tc), completed_at=datetime.datetime(2024, 5, 1, 12, 0, 2, tzinfo=datetime.timezo"
            "ne.utc), deadline=None, deployment=None, source='api', data_removed=False, urls="
            "PredictionURLs(get='https://api.example.com/v1/predictions/p1', cancel='https://"
            "api.example.com/v1/predictions/p1/cancel', stream='https://api.example.com/s/p1'"
            ", web=None)), from_checkpoint=False)"
        ),
    ),
    "headers": (
        (
            "gASVZgAAAAAAAACMD2Rhc2hzY29wZS5faHR0cJSMB0hlYWRlcnOUk5QpgZROfZSMBl9pdGVtc5R9lCiM"
            "DGNvbnRlbnQtdHlwZZSMCnRleHQvcGxhaW6UjAx4LXJlcXVlc3QtaWSUjAJyMZR1c4aUYi4="
        ),
        ("Headers({'content-type': 'text/plain', 'x-request-id': 'r1'})"),
    ),
    "output_event": (
        (
            "gASVTAAAAAAAAACMF2Rhc2hzY29wZS5fZXZlbnRfdmFsdWVzlIwLT3V0cHV0RXZlbnSUk5QpgZR9lCiM"
            "BHRleHSUjAVoZWxsb5SMAmlklIwCZTGUdWIu"
        ),
        ("OutputEvent(text='hello', id='e1')"),
    ),
    "page": (
        (
            "gASVvQQAAAAAAACMEGRhc2hzY29wZS5fcGFnZXOUjARQYWdllJOUKYGUfZQojAdyZXN1bHRzlIwfZGFz"
            "aHNjb3BlLnJlc291cmNlcy5wcmVkaWN0aW9uc5SMClByZWRpY3Rpb26Uk5QpgZR9lCiMAmlklIwCcDGU"
            "jAZzdGF0dXOUjAlzdWNjZWVkZWSUjAVtb2RlbJSMCm93bmVyL25hbWWUjAd2ZXJzaW9ulIwCdjGUjAVp"
            "bnB1dJR9lIwEdGV4dJSMBUFsaWNllHOMBm91dHB1dJRdlCiMBWhlbGxvlH2UjAFhlEsBc2WMBWVycm9y"
            "lE6MBGxvZ3OUjAs1MCV8eHwgMS8yCpSMB21ldHJpY3OUaAaMB01ldHJpY3OUk5QpgZR9lCiMDHByZWRp"
            "Y3RfdGltZZRHP+AAAAAAAACMCnRvdGFsX3RpbWWURz/4AAAAAAAAjANyYXeUfZQojAxwcmVkaWN0X3Rp"
            "bWWURz/gAAAAAAAAjAp0b3RhbF90aW1llEc/+AAAAAAAAIwGdG9rZW5zlEsDdXVijApjcmVhdGVkX2F0"
            "lIwIZGF0ZXRpbWWUjAhkYXRldGltZZSTlEMKB+gFAQwAAAAAAJRoLIwIdGltZXpvbmWUk5RoLIwJdGlt"
            "ZWRlbHRhlJOUSwBLAEsAh5RSlIWUUpSGlFKUjApzdGFydGVkX2F0lGguQwoH6AUBDAABAAAAlGg3hpRS"
            "lIwMY29tcGxldGVkX2F0lGguQwoH6AUBDAACAAAAlGg3hpRSlIwIZGVhZGxpbmWUTowKZGVwbG95bWVu"
            "dJROjAZzb3VyY2WUjANhcGmUjAxkYXRhX3JlbW92ZWSUiYwEdXJsc5RoBowOUHJlZGljdGlvblVSTHOU"
            "k5QpgZR9lCiMA2dldJSMKWh0dHBzOi8vYXBpLmV4YW1wbGUuY29tL3YxL3ByZWRpY3Rpb25zL3AxlIwG"
            "Y2FuY2VslIwwaHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20vdjEvcHJlZGljdGlvbnMvcDEvY2FuY2VslIwG"
            "c3RyZWFtlIwcaHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20vcy9wMZSMA3dlYpROaCZ9lCiMA2dldJRoTYwG"
            "Y2FuY2VslGhPjAZzdHJlYW2UaFF1dWJoJn2UKIwCaWSUaAyMBnN0YXR1c5RoDowFbW9kZWyUaBCMB3Zl"
            "cnNpb26UaBKMBWlucHV0lGgUjAZvdXRwdXSUaBiMBWVycm9ylE6MBGxvZ3OUaB6MB21ldHJpY3OUaCeM"
            "CmNyZWF0ZWRfYXSUjBQyMDI0LTA1LTAxVDEyOjAwOjAwWpSMCnN0YXJ0ZWRfYXSUjBQyMDI0LTA1LTAx"
            "VDEyOjAwOjAxWpSMDGNvbXBsZXRlZF9hdJSMFDIwMjQtMDUtMDFUMTI6MDA6MDJalIwGc291cmNllGhF"
            "jAxkYXRhX3JlbW92ZWSUiYwEdXJsc5RoU3V1YoWUjARuZXh0lIwvaHR0cHM6Ly9hcGkuZXhhbXBsZS5j"
            "b20vdjEvcHJlZGljdGlvbnM/Y3Vyc29yPWOUjAhwcmV2aW91c5ROaCZ9lCiMB3Jlc3VsdHOUXZRoV2GM"
            "BG5leHSUaGyMCHByZXZpb3VzlE51dWIu"
        ),
        (
            "Page(results=<1 Prediction>, next='https://api.example.com/v1/predictions?cursor=c', "
            "previous=None)"
        ),
    ),
    "prediction": (
        (
            "gASVHgQAAAAAAACMH2Rhc2hzY29wZS5yZXNvdXJjZXMucHJlZGljdGlvbnOUjApQcmVkaWN0aW9ulJOU"
            "KYGUfZQojAJpZJSMAnAxlIwGc3RhdHVzlIwJc3VjY2VlZGVklIwFbW9kZWyUjApvd25lci9uYW1llIwH"
            "dmVyc2lvbpSMAnYxlIwFaW5wdXSUfZSMBHRleHSUjAVBbGljZZRzjAZvdXRwdXSUXZQojAVoZWxsb5R9"
            "lIwBYZRLAXNljAVlcnJvcpROjARsb2dzlIwLNTAlfHh8IDEvMgqUjAdtZXRyaWNzlGgAjAdNZXRyaWNz"
            "lJOUKYGUfZQojAxwcmVkaWN0X3RpbWWURz/gAAAAAAAAjAp0b3RhbF90aW1llEc/+AAAAAAAAIwDcmF3"
            "lH2UKIwMcHJlZGljdF90aW1llEc/4AAAAAAAAIwKdG90YWxfdGltZZRHP/gAAAAAAACMBnRva2Vuc5RL"
            "A3V1YowKY3JlYXRlZF9hdJSMCGRhdGV0aW1llIwIZGF0ZXRpbWWUk5RDCgfoBQEMAAAAAACUaCaMCHRp"
            "bWV6b25llJOUaCaMCXRpbWVkZWx0YZSTlEsASwBLAIeUUpSFlFKUhpRSlIwKc3RhcnRlZF9hdJRoKEMK"
            "B+gFAQwAAQAAAJRoMYaUUpSMDGNvbXBsZXRlZF9hdJRoKEMKB+gFAQwAAgAAAJRoMYaUUpSMCGRlYWRs"
            "aW5llE6MCmRlcGxveW1lbnSUTowGc291cmNllIwDYXBplIwMZGF0YV9yZW1vdmVklImMBHVybHOUaACM"
            "DlByZWRpY3Rpb25VUkxzlJOUKYGUfZQojANnZXSUjClodHRwczovL2FwaS5leGFtcGxlLmNvbS92MS9w"
            "cmVkaWN0aW9ucy9wMZSMBmNhbmNlbJSMMGh0dHBzOi8vYXBpLmV4YW1wbGUuY29tL3YxL3ByZWRpY3Rp"
            "b25zL3AxL2NhbmNlbJSMBnN0cmVhbZSMHGh0dHBzOi8vYXBpLmV4YW1wbGUuY29tL3MvcDGUjAN3ZWKU"
            "TmggfZQojANnZXSUaEeMBmNhbmNlbJRoSYwGc3RyZWFtlGhLdXViaCB9lCiMAmlklGgGjAZzdGF0dXOU"
            "aAiMBW1vZGVslGgKjAd2ZXJzaW9ulGgMjAVpbnB1dJRoDowGb3V0cHV0lGgSjAVlcnJvcpROjARsb2dz"
            "lGgYjAdtZXRyaWNzlGghjApjcmVhdGVkX2F0lIwUMjAyNC0wNS0wMVQxMjowMDowMFqUjApzdGFydGVk"
            "X2F0lIwUMjAyNC0wNS0wMVQxMjowMDowMVqUjAxjb21wbGV0ZWRfYXSUjBQyMDI0LTA1LTAxVDEyOjAw"
            "OjAyWpSMBnNvdXJjZZRoP4wMZGF0YV9yZW1vdmVklImMBHVybHOUaE11dWIu"
        ),
        (
            "Prediction(id='p1', status='succeeded', model='owner/name', version='v1', input="
            "{'text': 'Alice'}, output=['hello', {'a': 1}], error=None, logs='50%|x| 1/2\\n', "
            "metrics=Metrics(predict_time=0.5, total_time=1.5), created_at=datetime.datetime("
            "2024, 5, 1, 12, 0, tzinfo=datetime.timezone.utc), started_at=datetime.datetime(2"
            "024, 5, 1, 12, 0, 1, tzinfo=datetime.timezone.utc), completed_at=datetime.dateti"
            "me(2024, 5, 1, 12, 0, 2, tzinfo=datetime.timezone.utc), deadline=None, deploymen"
            "t=None, source='api', data_removed=False, urls=PredictionURLs(get='https://api.e"
            "xample.com/v1/predictions/p1', cancel='https://api.example.com/v1/predictions/p1"
            "/cancel', stream='https://api.example.com/s/p1', web=None))"
        ),
    ),
}


LOADING = """
import base64, pickle, sys

for written in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "dashscope"]:
        del sys.modules[name]
    print(pickle.loads(base64.b64decode(written)))
"""


def test_a_pickle_of_an_older_version_loads() -> None:
    # In a process that has imported no modules of the package that a pickle does not name.
    program = [sys.executable, "-c", LOADING, *(written for written, _ in PICKLES.values())]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.stderr == ""
    for printed, (written, shown) in zip(done.stdout.splitlines(), PICKLES.values(), strict=True):
        value = pickle.loads(base64.b64decode(written))
        assert printed == str(value)
        assert repr(value) == shown
        assert type(value).__module__.startswith("dashscope.types.")
        again = pickle.dumps(value)
        assert b"dashscope._" not in again.replace(b"dashscope._errors\x94\x8c\x08_restore", b"")
        assert repr(pickle.loads(again)) == shown


def test_every_value_is_exported_and_its_hints_resolve() -> None:
    for name in types.__all__:
        value = getattr(types, name)
        if isinstance(value, type):
            typing.get_type_hints(value)
            assert value.__module__.startswith("dashscope.types.")
        if hasattr(dashscope, name):
            assert getattr(dashscope, name) is value


def test_importing_the_package_loads_no_value_class() -> None:
    program = (
        "import sys, dashscope.types; print(*(name for name in sys.modules if 'attr' in name))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_public_names_have_a_public_module() -> None:
    for name in dashscope.__all__:
        value = getattr(dashscope, name)
        if isinstance(value, type):
            public = value.__module__ == "dashscope" or name in types.__all__
            assert public, value.__module__
    with pytest.raises(
        AttributeError, match=r"module 'dashscope.types' has no attribute 'Nothing'"
    ):
        getattr(types, "Nothing")  # noqa: B009 (a type checker would find it)

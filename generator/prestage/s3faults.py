"""What S3's refusals mean (Amazon S3 API, list of error codes), and how to mend each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as aws_errors

from generator.prestage.exits import PrestageExit
from generator.prestage.faults import Exists, PrestageError, Transient, UploadGone, mismatch
from generator.prestage.transport import retry_after

_PASSING = frozenset(
    (
        "BadDigest",
        "ConditionalRequestConflict",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteBody",
        "InternalError",
        "InvalidDigest",
        "OperationAborted",
        "RequestExpired",
        "RequestThrottled",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TokenRefreshRequired",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    )
)
_GONE = frozenset(("NoSuchUpload", "InvalidPart", "InvalidPartOrder"))
_OTHER_BYTES = frozenset(("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"))
_FULL = frozenset(("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "TooManyBuckets"))
_ROLE = "the role of the ServiceAccount needs what rendered/terraform grants the writer; check the Pod Identity"
_KEYS = "the keys need the right to list, read and write the bucket; check the Secret that AWS_ACCESS_KEY_ID is from"


@contextmanager
def explained(bucket: str, *, aws: bool = True) -> Iterator[None]:
    """Turns what botocore raises inside the block into Transient, UploadGone, Exists or PrestageError.

    `aws`: whether the server is AWS's; hints for another speak of its keys, not of roles.
    """
    try:
        yield
    except aws_errors.ClientError as error:
        raise _refusal(error, bucket, aws=aws) from error
    except (aws_errors.NoCredentialsError, aws_errors.PartialCredentialsError) as error:
        said, hint = f"no credentials for s3://{bucket}", _ROLE if aws else _KEYS
        raise PrestageError(PrestageExit.STORAGE, said, hint) from error
    except (
        aws_errors.ParamValidationError,
        aws_errors.NoRegionError,
        aws_errors.InvalidRegionError,
        aws_errors.ProfileNotFound,
    ) as error:
        raise PrestageError(PrestageExit.PLAN, str(error), "check AWS_REGION and the other AWS_* settings") from error
    except (aws_errors.BotoCoreError, OSError) as error:
        raise Transient(f"s3://{bucket}: {str(error) or type(error).__name__}") from error
    except (KeyError, TypeError, AttributeError) as error:  # an answer that was cut inside its head
        raise Transient(f"s3://{bucket} does not answer as S3 does: {error!r}") from error
    except ValueError as error:
        raise PrestageError(PrestageExit.PLAN, f"s3://{bucket}: {error}", "check AWS_ENDPOINT_URL") from error


def _refusal(error: aws_errors.ClientError, bucket: str, *, aws: bool) -> Exception:
    facts = error.response.get("Error", {})
    code = str(facts.get("Code", ""))
    meta = error.response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    said = f"s3://{bucket} answers {code or status} to {error.operation_name}"
    if code in _GONE or (code in _OTHER_BYTES and error.operation_name == "CompleteMultipartUpload"):
        return UploadGone(said)  # its parts are not what was thought, and will not be
    if code == "InvalidRange" or status == 416:
        return mismatch(f"{said}: the object is shorter")
    if code == "PreconditionFailed" or status == 412:
        return Exists(said)
    if code in _FULL or status == 507:
        return PrestageError(PrestageExit.STORAGE, f"{said}: it is full", "make room, or raise the quota")
    if code in _PASSING or status in (408, 409, 429) or status >= 500 or status < 300:
        return Transient(said, after=retry_after(meta.get("HTTPHeaders", {}).get("retry-after")))
    if code == str(status):  # an answer without a body, as to HEAD: an expired token looks like a missing right
        return Transient(said, exit=PrestageExit.STORAGE, hint=_hint(code, status, aws=aws))
    reason = f"{said}: {facts.get('Message', '')}".rstrip(": ")
    return PrestageError(PrestageExit.STORAGE, reason, _hint(code, status, aws=aws))


def _hint(code: str, status: int, *, aws: bool) -> str:
    if code == "NoSuchBucket" and not aws:
        return "make the bucket on the server, or correct its name"
    if code == "NoSuchBucket":
        return "apply rendered/terraform, or check the bucket's name in the cluster's annotations"
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "301"):
        return "the bucket is in another region: check AWS_REGION"
    if status in (401, 403):
        return _ROLE if aws else _KEYS
    return "check the bucket and AWS_ENDPOINT_URL"

"""One tree of errors, each with a stable code; docs/errors.md explains them to users.

    ViewfinderError
    ├── RequestError                what a caller can mend
    │   ├── MalformedRequestError       malformed_request
    │   ├── UnauthenticatedError        unauthenticated
    │   ├── ForbiddenError              forbidden
    │   ├── UrlFetchDisabledError       url_fetch_disabled
    │   ├── ModelNotFoundError          model_not_found
    │   ├── VersionNotFoundError        version_not_found
    │   ├── DocumentNotFoundError       document_not_found
    │   ├── JobNotFoundError            job_not_found
    │   ├── ResultNotFoundError         result_not_found
    │   ├── RequestTimeoutError         request_timeout
    │   ├── PayloadTooLargeError        payload_too_large
    │   ├── UnsupportedMediaTypeError   unsupported_media_type
    │   ├── InvalidImageError           invalid_image
    │   ├── ImageTooLargeError          image_too_large
    │   ├── InvalidParameterError       invalid_parameter
    │   ├── ConflictError               conflict
    │   ├── IdempotencyInProgressError  idempotency_in_progress
    │   ├── IdempotencyKeyReusedError   idempotency_key_reused
    │   ├── BlockedAddressError         blocked_address
    │   ├── FetchFailedError            fetch_failed
    │   ├── RateLimitedError            rate_limited
    │   └── HeadersTooLargeError        headers_too_large
    ├── ServiceError                what only time or an operator can mend
    │   ├── OverloadedError             overloaded
    │   ├── NotReadyError               not_ready
    │   └── DeadlineExceededError       deadline_exceeded
    └── OperatorError               what someone at the command line can mend
        ├── SettingsError               invalid_settings
        ├── BundleError                 invalid_bundle
        ├── ScalingNeededError          scaling_needed
        ├── ListenError                 cannot_listen
        ├── StoreError                  store_unavailable
        ├── DatabaseError               database_unavailable
        ├── DatasetError                invalid_dataset
        ├── TrainingError               training_failed
        ├── TrainingStoppedError        training_stopped
        ├── WeightsError                invalid_weights
        ├── ConversionError             conversion_failed
        ├── RemoteError                 remote_unusable
        ├── MeasuringError              measuring_failed
        ├── MissingEngineError          missing_engine
        ├── EngineError                 engine_failed
        └── MissingExtraError           missing_extra

A message is written for the person who can act on it and never carries a path, an exception's
text or a module's name into an answer over HTTP: the HTTP layer renders only `RequestError` and
`ServiceError` messages. `api/errors.py` alone knows HTTP statuses.
"""

from typing import TypeAlias


class ViewfinderError(Exception):
    """Base of every error that Viewfinder raises on purpose.

    Attributes:
        code: Stable, documented name of the error.
        detail: One sentence for a person, with what to do next where there is something.
        retry_after_s: Whole seconds after which a new try makes sense; None where nobody knows.
        status: Of the answer, where a server elsewhere said it; else None.
        request_id: Of the request, where a server elsewhere said it: its log names it.
    """

    code: str = "internal_error"
    retry_after_s: int | None = None
    status: int | None = None
    request_id: str | None = None

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RequestError(ViewfinderError):
    """What a caller can mend."""


class MalformedRequestError(RequestError):
    """The request does not have the documented form."""

    code = "malformed_request"


class UnauthenticatedError(RequestError):
    """No key, or one that does not count."""

    code = "unauthenticated"


class ForbiddenError(RequestError):
    """The caller may not do this."""

    code = "forbidden"


class UrlFetchDisabledError(RequestError):
    """Images by URL are switched off on this server."""

    code = "url_fetch_disabled"


class ModelNotFoundError(RequestError):
    """No model of that name."""

    code = "model_not_found"


class VersionNotFoundError(RequestError):
    """The model has no such version or alias."""

    code = "version_not_found"


class DocumentNotFoundError(RequestError):
    """The model version has no such document."""

    code = "document_not_found"


class JobNotFoundError(RequestError):
    """No job of that id, or none that the caller may see."""

    code = "job_not_found"


class ResultNotFoundError(RequestError):
    """No result of that id: never recorded, erased, or older than results are kept."""

    code = "result_not_found"


class RequestTimeoutError(RequestError):
    """The request came too slowly."""

    code = "request_timeout"


class PayloadTooLargeError(RequestError):
    """More bytes than the limit."""

    code = "payload_too_large"


class UnsupportedMediaTypeError(RequestError):
    """Not an accepted image format, body type or content encoding."""

    code = "unsupported_media_type"


class InvalidImageError(RequestError):
    """An accepted format, but the image cannot be decoded."""

    code = "invalid_image"


class ImageTooLargeError(RequestError):
    """The image declares more pixels, or a longer side, than the limit."""

    code = "image_too_large"


class InvalidParameterError(RequestError):
    """A parameter is outside its documented range."""

    code = "invalid_parameter"


class ConflictError(RequestError):
    """What is asked for does not go with how things are now."""

    code = "conflict"


class IdempotencyInProgressError(RequestError):
    """A request with the same idempotency key is being worked on."""

    code = "idempotency_in_progress"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class IdempotencyKeyReusedError(RequestError):
    """The idempotency key belongs to another request."""

    code = "idempotency_key_reused"


class BlockedAddressError(RequestError):
    """A URL leads to an address that the server does not connect to."""

    code = "blocked_address"


class FetchFailedError(RequestError):
    """An image could not be fetched from its URL."""

    code = "fetch_failed"


class RateLimitedError(RequestError):
    """The caller has asked more than the limit allows."""

    code = "rate_limited"
    retry_after_s: int

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class HeadersTooLargeError(RequestError):
    """More headers, or longer ones, than the limit."""

    code = "headers_too_large"


class ServiceError(ViewfinderError):
    """What only time or an operator can mend."""


class OverloadedError(ServiceError):
    """The queue is full."""

    code = "overloaded"
    retry_after_s: int

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class NotReadyError(ServiceError):
    """The model asked for is there but cannot answer."""

    code = "not_ready"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class DeadlineExceededError(ServiceError):
    """The deadline passed before the work began."""

    code = "deadline_exceeded"


class OperatorError(ViewfinderError):
    """What someone at the command line can mend."""


class SettingsError(OperatorError):
    """A setting, or the settings file, makes no sense."""

    code = "invalid_settings"


class BundleError(OperatorError):
    """A model folder that is not a valid bundle."""

    code = "invalid_bundle"


class ScalingNeededError(OperatorError):
    """A foreign graph takes floats, and nobody said what its pixels are scaled to."""

    code = "scaling_needed"


class ListenError(OperatorError):
    """The address cannot be listened on."""

    code = "cannot_listen"


class StoreError(OperatorError):
    """The model store cannot be reached, read or written."""

    code = "store_unavailable"


class DatabaseError(OperatorError):
    """The database cannot be reached, read or written.

    Attributes:
        may_pass: Whether that may pass by itself: nobody answers, or there is no room. A damaged
            file, or tables of another release, stay so until somebody sees to them.
    """

    code = "database_unavailable"

    def __init__(self, detail: str, *, may_pass: bool = False) -> None:
        super().__init__(detail)
        self.may_pass = may_pass


class DatasetError(OperatorError):
    """Photos that nothing can be learned or measured from, and why."""

    code = "invalid_dataset"


class TrainingError(OperatorError):
    """Training that cannot begin, go on, or come to an end."""

    code = "training_failed"


class TrainingStoppedError(OperatorError):
    """Somebody has asked training to stop; everything done so far is kept."""

    code = "training_stopped"

    def __init__(self) -> None:
        super().__init__("stopped; nothing is lost, the same command goes on from here")


class WeightsError(OperatorError):
    """A weights file that is damaged, hostile, or made for another model."""

    code = "invalid_weights"


class ConversionError(OperatorError):
    """A model that cannot be turned into the format asked for."""

    code = "conversion_failed"


class RemoteError(OperatorError):
    """Another Viewfinder, asked over HTTP, that is not there, is none, or refuses everything."""

    code = "remote_unusable"


class MeasuringError(OperatorError):
    """A server that is to be measured, and cannot be."""

    code = "measuring_failed"


class MissingEngineError(OperatorError):
    """A model needs an engine that no installed package brings."""

    code = "missing_engine"

    def __init__(self, engine: str) -> None:
        super().__init__(
            f"the model needs the engine '{engine}', which no installed package brings: "
            "install the one that does beside viewfinder"
        )


class EngineError(OperatorError):
    """An engine of another package that cannot be used, or fails over a graph."""

    code = "engine_failed"


class MissingExtraError(OperatorError):
    """A part that this installation lacks."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': {how_to_install(extra)}")
        self.extra = extra


def how_to_install(extra: str) -> str:
    """The commands that bring an extra of this package, for a person to choose from."""
    return f"pip install 'viewfinder[{extra}]', or in a checkout: make setup EXTRAS={extra}"


Failure: TypeAlias = ViewfinderError | OSError
"""Why a photo has no answer."""

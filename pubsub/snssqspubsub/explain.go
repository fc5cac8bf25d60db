package snssqspubsub

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/smithy-go"
)

// A failure is an error of AWS in one sentence. It wraps what the SDK says, which is
// long.
type failure struct {
	text string
	err  error
}

// Error implements error.
func (f *failure) Error() string { return f.text }

// Unwrap returns the SDK's error.
func (f *failure) Unwrap() error { return f.err }

// ofPackage adds where an error comes from.
func ofPackage(err error) error { return fmt.Errorf("snssqspubsub: %w", err) }

// explain returns an error of a request in words for the person who can do something
// about it. A context's error stays what it is.
func explain(request string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	api, isAPI := errors.AsType[smithy.APIError](err)
	if !isAPI {
		return &failure{fmt.Sprintf("%s: %s", request, shorten(err)), err}
	}
	code := api.ErrorCode()
	if hint := hints(code); hint != "" {
		return &failure{fmt.Sprintf("%s: %s (%s: %s)", request, hint, code, api.ErrorMessage()), err}
	}
	return &failure{fmt.Sprintf("%s: %s: %s", request, code, api.ErrorMessage()), err}
}

// shorten leaves out what the SDK puts around an error that is no answer of AWS.
func shorten(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	if of, is := errors.AsType[*url.Error](err); is {
		return of.Err // its URL is long
	}
	if of, is := errors.AsType[*smithy.OperationError](err); is {
		return of.Err
	}
	return err
}

// hints says what an error's code means here; "": AWS's own words are all there is.
func hints(code string) string {
	switch {
	case isDenied(code):
		return "the credentials have no right to it"
	case isExpired(code):
		return "the credentials have expired"
	case isUnknown(code):
		return "AWS does not know the credentials"
	case isGone(code):
		return "somebody has deleted it"
	}
	switch code {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "TooManyRequestsException", "RequestLimitExceeded":
		return "AWS takes no more requests for now"
	case "OverLimit":
		return "there are too many messages that were not deleted"
	}
	return ""
}

// isDenied reports whether a code says that a right is missing.
func isDenied(code string) bool {
	switch code {
	case "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "KMSAccessDenied", "KMSAccessDeniedException":
		return true
	}
	return false
}

// isExpired reports whether a code says that credentials were good once.
func isExpired(code string) bool {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return true
	}
	return false
}

// isUnknown reports whether a code says that credentials are not those of anybody.
func isUnknown(code string) bool {
	switch code {
	case "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId", "IncompleteSignature", "MissingAuthenticationToken":
		return true
	}
	return false
}

// isOurs reports whether an error is one of rights or credentials, which somebody must do
// something about.
func isOurs(err error) bool {
	code := codeOf(err)
	return isDenied(code) || isExpired(code) || isUnknown(code)
}

// isGone reports whether a code says that there is no such topic or queue.
func isGone(code string) bool {
	switch code {
	case "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NotFound", "NotFoundException":
		return true
	}
	return false
}

// codeOf returns the code of an error of AWS, or "".
func codeOf(err error) string {
	if api, is := errors.AsType[smithy.APIError](err); is {
		return api.ErrorCode()
	}
	return ""
}

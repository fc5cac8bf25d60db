package snssqspubsub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"lockstep/internal/tlsoptions"
)

var errURL = errors.New("not a valid URL of SNS and SQS (snssqs://region/name?endpoint=URL)")

// A place is where an installation is.
type place struct {
	region   string
	name     string
	endpoint string        // "": AWS's own of the region
	key      *url.Userinfo // nil: as AWS's programs find it
	tls      *tls.Config   // of the endpoint; nil: as the system has it, and AWS_CA_BUNDLE
}

// parse reads a URL. name is that of the installation where it has none.
func parse(raw, name string) (place, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "snssqs" || u.Host == "" || u.Fragment != "" || strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return place{}, errURL
	}
	p := place{region: u.Host, name: nameOf(name), key: u.User}
	if own := strings.TrimPrefix(u.Path, "/"); own != "" {
		if p.name = nameOf(own); p.name != own {
			return place{}, errors.New("the name in the URL has letters, digits, hyphens and underscores, 40 at most")
		}
	}
	if _, has := u.User.Password(); u.User != nil && !has {
		return place{}, errors.New("an access key is KEY:SECRET")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return place{}, errURL
	}
	return p, p.addEndpoint(q)
}

// addEndpoint reads where AWS is, if it is not where it is as a rule. Nothing else may
// be in the query.
func (p *place) addEndpoint(q url.Values) error {
	p.endpoint = q.Get("endpoint")
	q.Del("endpoint")
	options := tlsoptions.Take(q)
	if len(q) > 0 {
		return errURL
	}
	if p.endpoint != "" {
		e, err := url.Parse(p.endpoint)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" {
			return errors.New("endpoint: not a URL such as http://localhost:4100")
		}
	}
	if options == (tlsoptions.Options{}) {
		return nil
	}
	if strings.HasPrefix(p.endpoint, "http://") {
		return options.Apply(nil, "endpoint=https://")
	}
	p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	return options.Apply(p.tls, "endpoint=https://")
}

// services are the clients of one connection, and the sockets that they share.
type services struct {
	sns  *sns.Client
	sqs  *sqs.Client
	http *http.Transport
}

// services returns new clients. It finds who we are, but asks neither SNS nor SQS.
func (p place) services(ctx context.Context) (s services, err error) {
	all, err := config.LoadDefaultConfig(ctx, p.load()...)
	if err != nil {
		return s, err
	}
	if _, err := all.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return s, fmt.Errorf("no credentials for AWS: %w", err)
	}
	if p.endpoint != "" {
		all.BaseEndpoint = &p.endpoint
	}
	client, is := all.HTTPClient.(*awshttp.BuildableClient) // with what the environment says of TLS
	if !is {
		return s, fmt.Errorf("an HTTP client that is not known: %T", all.HTTPClient)
	}
	s.http = client.GetTransport()
	if p.tls != nil {
		s.http.TLSClientConfig = p.tls.Clone()
	}
	s.http.MaxIdleConnsPerHost = maxPolls + maxBatches + maxDeletes // there is one host, or two
	// AWS does not redirect; and an emulator must not.
	all.HTTPClient = &http.Client{Transport: s.http, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	all.Retryer = newRetryer
	s.sns, s.sqs = sns.NewFromConfig(all), sqs.NewFromConfig(all)
	return s, nil
}

// load returns what the SDK's defaults don't know.
func (p place) load() []func(*config.LoadOptions) error {
	load := []func(*config.LoadOptions) error{config.WithRegion(p.region), config.WithHTTPClient(awshttp.NewBuildableClient())}
	if p.key != nil {
		secret, _ := p.key.Password()
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(p.key.Username(), secret, "")))
	}
	return load
}

// newRetryer asks again what AWS has refused because there was too much, for a second
// at most. Nothing else is repeated: a request whose answer is lost may have taken
// messages out of the queue, and that must be known.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 3
		o.MaxBackoff = 300 * time.Millisecond
		o.Retryables = []retry.IsErrorRetryable{retry.NoRetryCanceledError{}, retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
	})
}

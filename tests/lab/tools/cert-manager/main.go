// Command cert-manager runs the controllers of cert-manager that issue certificates from CA, self-signed and ACME
// issuers. Their packages are the released ones. The released command is in a module that the Go module proxy does
// not serve, so this file registers and starts the controllers. There is no webhook: the API server checks objects
// by the schema of the CRDs only.
package main

import (
	"context"
	"flag"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/cert-manager/cert-manager/pkg/controller"
	// Each package registers its controller or issuer type.
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// workers is the number of objects that one controller reconciles at the same time.
const workers = 2

func main() {
	options := controller.ContextOptions{KubernetesAPIQPS: 20, KubernetesAPIBurst: 50}
	// The defaults of cert-manager's own command, but for the shorter delays.
	options.CopiedAnnotationPrefixes = []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"}
	options.MaxConcurrentChallenges = 60
	klog.InitFlags(nil)
	flag.StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig file")
	flag.StringVar(&options.ClusterResourceNamespace, "cluster-resource-namespace", "cert-manager",
		"namespace of the Secrets that ClusterIssuers name")
	flag.DurationVar(&options.CertificateRequestMinimumBackoffDuration, "min-backoff", time.Hour,
		"delay before the first retry of a failed issuance")
	flag.DurationVar(&options.CertificateRequestMaximumBackoffDuration, "max-backoff", 32*time.Hour,
		"maximum delay before a retry of a failed issuance")
	flag.DurationVar(&options.DNS01CheckRetryPeriod, "dns01-check-retry-period", 10*time.Second,
		"delay between two checks whether the record of a challenge is published")
	nameservers := flag.String("dns01-recursive-nameservers", "",
		"comma-separated host:port of the only DNS servers for these checks")
	flag.Parse()
	options.DNS01Nameservers = strings.Split(*nameservers, ",")

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(logf.NewContext(ctx, klog.Background(), "controller"), options); err != nil {
		klog.ErrorS(err, "stopped")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}

func run(ctx context.Context, options controller.ContextOptions) error {
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for name, construct := range controller.Known() {
		instance, err := construct(factory)
		if err != nil {
			return err
		}
		klog.InfoS("starting", "controller", name)
		group.Go(func() error { return instance.Run(workers, ctx) })
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return group.Wait()
}

// Command custom-metrics serves the metrics of pods in a Prometheus to autoscalers, as the API custom.metrics.k8s.io. The API
// is the released library of the Kubernetes project that prometheus-adapter consists of; the Go module proxy does not serve
// that program. The query is the one of its default rules: the sum of the series by pod.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"
	"k8s.io/metrics/pkg/apis/custom_metrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider/defaults"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider/helpers"
)

func main() {
	logs.InitLogs()
	adapter := &cmd.AdapterBase{Name: "custom-metrics"}
	prometheus := adapter.Flags().String("prometheus-url", "", "base URL of Prometheus")
	if err := adapter.Flags().Parse(os.Args); err != nil {
		klog.Fatal(err)
	}
	client, err := adapter.DynamicClient()
	if err != nil {
		klog.Fatal(err)
	}
	mapper, err := adapter.RESTMapper()
	if err != nil {
		klog.Fatal(err)
	}
	adapter.WithCustomMetrics(&metrics{prometheus: *prometheus, client: client, mapper: mapper})
	if err := adapter.Run(context.Background()); err != nil {
		klog.Fatal(err)
	}
}

// metrics answers with the values that Prometheus has now.
type metrics struct {
	defaults.DefaultCustomMetricsProvider
	prometheus string
	client     dynamic.Interface
	mapper     meta.RESTMapper
}

func (m *metrics) GetMetricByName(ctx context.Context, name types.NamespacedName, info provider.CustomMetricInfo,
	series labels.Selector) (*custom_metrics.MetricValue, error) {
	found, err := m.values(ctx, name.Namespace, []string{name.Name}, info, series)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, provider.NewMetricNotFoundForError(info.GroupResource, info.Metric, name.Name)
	}
	return &found[0], nil
}

func (m *metrics) GetMetricBySelector(ctx context.Context, namespace string, pods labels.Selector, info provider.CustomMetricInfo,
	series labels.Selector) (*custom_metrics.MetricValueList, error) {
	names, err := helpers.ListObjectNames(m.mapper, m.client, namespace, pods, info)
	if err != nil {
		return nil, err
	}
	found, err := m.values(ctx, namespace, names, info, series)
	return &custom_metrics.MetricValueList{Items: found}, err
}

// values are the sums of the series by pod.
func (m *metrics) values(ctx context.Context, namespace string, names []string, info provider.CustomMetricInfo,
	series labels.Selector) ([]custom_metrics.MetricValue, error) {
	if info.GroupResource.Resource != "pods" || !series.Empty() {
		return nil, provider.NewMetricNotFoundError(info.GroupResource, info.Metric)
	}
	query := fmt.Sprintf("sum(%s{namespace=%q,pod=~%q}) by (pod)", info.Metric, namespace, strings.Join(names, "|"))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.prometheus+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var result struct {
		Error string
		Data  struct {
			Result []struct {
				Metric struct{ Pod string }
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&result); err != nil {
		return nil, err
	}
	if result.Error != "" {
		return nil, fmt.Errorf("query %s: %s", query, result.Error)
	}
	var found []custom_metrics.MetricValue
	for _, one := range result.Data.Result {
		value, err := resource.ParseQuantity(fmt.Sprint(one.Value[1]))
		if err != nil {
			return nil, err
		}
		pod, err := helpers.ReferenceFor(m.mapper, types.NamespacedName{Namespace: namespace, Name: one.Metric.Pod}, info)
		if err != nil {
			return nil, err
		}
		found = append(found, custom_metrics.MetricValue{
			DescribedObject: pod,
			Metric:          custom_metrics.MetricIdentifier{Name: info.Metric},
			Timestamp:       metav1.Time{Time: time.Now()},
			Value:           value,
		})
	}
	return found, nil
}

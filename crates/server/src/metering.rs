//! The metrics of the process as Prometheus reads them.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;

/// Upper bounds of the buckets of every histogram of seconds.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0,
];

/// How often samples are folded into the buckets, so that they do not pile up unread.
const UPKEEP: Duration = Duration::from_secs(5);

/// The page of `/metrics`.
#[derive(Clone)]
pub struct MetricsPage(PrometheusHandle);

impl MetricsPage {
    /// What the page is.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Installs the recorder of this process, once; later calls share it.
    ///
    /// Needs a tokio runtime, on which samples are folded from time to time.
    pub fn install() -> Self {
        static PAGE: OnceLock<MetricsPage> = OnceLock::new();
        let page = PAGE.get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
                .expect("the list of bounds is not empty")
                .build_recorder();
            let page = MetricsPage(recorder.handle());
            // Fails only where another recorder was installed first; then its metrics are shown
            // there and this page stays empty.
            let _ = metrics::set_global_recorder(recorder);
            page
        });
        tokio::spawn(page.clone().keep_up());
        page.clone()
    }

    /// The page.
    pub fn render(&self) -> String {
        self.0.render()
    }

    async fn keep_up(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

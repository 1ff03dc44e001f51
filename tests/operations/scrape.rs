//! What a node tells Prometheus, as one reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::support::Server;

/// One page.
#[derive(Debug)]
pub struct Scrape {
    pub text: String,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    /// Without its fraction.
    value: i64,
}

impl Scrape {
    /// What the node says to a neighbour.
    pub async fn of(server: &Server) -> Self {
        let answer = server.send(Method::GET, "/metrics", &[], None).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
        Self::read(answer.body.as_str().expect("text"))
    }

    pub fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(Sample::read);
        Self { text: text.to_owned(), samples: samples.collect() }
    }

    /// The families that the page tells of, with or without samples.
    pub fn families(&self) -> BTreeSet<&str> {
        let types = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|rest| rest.split(' ').next()).collect()
    }

    /// The sum of the samples with these labels, and maybe others; none where there is none.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<i64> {
        let has = |sample: &&Sample| {
            let is = |(label, of): &(&str, &str)| {
                sample.labels.get(*label).is_some_and(|found| found == of)
            };
            sample.name == name && labels.iter().all(is)
        };
        self.samples.iter().filter(has).map(|sample| sample.value).reduce(|one, other| one + other)
    }

    /// The same; nothing where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        self.find(name, labels).unwrap_or_default()
    }

    /// All that stands in labels.
    pub fn labels(&self) -> BTreeSet<&str> {
        self.samples.iter().flat_map(|sample| sample.labels.values().map(String::as_str)).collect()
    }
}

impl Sample {
    /// Labels of ours have no commas in them.
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect("labels end");
        let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
            let (name, of) = label.split_once('=').expect("a label");
            (name.to_owned(), of.trim_matches('"').to_owned())
        });
        let (whole, _) = value.split_once('.').unwrap_or((value, ""));
        let value = whole.parse().unwrap_or_else(|_| panic!("{line}"));
        Self { name: name.to_owned(), labels: labels.collect(), value }
    }
}

/// Scrapes until it is so; what the database says is kept for some seconds.
pub async fn until(server: &Server, what: &str, is: impl Fn(&Scrape) -> bool) -> Scrape {
    for _ in 0..300 {
        let scrape = Scrape::of(server).await;
        if is(&scrape) {
            return scrape;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {}", Scrape::of(server).await.text);
}

//! A real Prometheus reads a node, with the rules that are handed out; and what they and the dashboard name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::redis_server::free_port;
use crate::scrape::Scrape;
use crate::skip::skip;
use crate::support::{Database, Server};

const TOKEN: &str = "a-token-of-metrics";
/// What Grafana puts in place of its variables.
const VARIABLES: [(&str, &str); 2] = [("$__rate_interval", "1m"), ("$instance", ".*")];

fn handed_out(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations").join(name)
}

fn dashboard() -> Value {
    let text = fs::read_to_string(handed_out("dashboard.json")).expect("the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

/// What the dashboard asks.
fn asked(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let asked = targets.map(|target| target["expr"].as_str().expect("an expression"));
    asked
        .map(|asked| {
            VARIABLES.iter().fold(asked.to_owned(), |asked, (name, of)| asked.replace(name, of))
        })
        .collect()
}

/// What a histogram tells, behind its name.
const HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Names of metrics that stand in a text, without what a histogram or Prometheus adds to them.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("saldo_") || word.starts_with("process_"));
    names
        .map(|name| {
            HISTOGRAM.iter().fold(name, |name, part| name.trim_end_matches(part)).to_owned()
        })
        .collect()
}

/// A Prometheus of one's own; killed when dropped.
struct Prometheus {
    api: Server,
    folder: PathBuf,
    process: Child,
}

impl Prometheus {
    /// One that scrapes a node each second; none, and said aloud, where there is no program.
    fn start(node: &Server) -> Option<Self> {
        if let Err(error) = Command::new("prometheus").arg("--version").output() {
            skip(&format!("prometheus cannot be run: {error}; install it"));
            return None;
        }
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("saldo-prometheus-{port}"));
        fs::create_dir_all(&folder).expect("a folder");
        let target = node.url.trim_start_matches("http://");
        // JSON is YAML.
        let config = json!({
            // An answer may take two seconds, when the database is slow.
            "global": { "scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s" },
            "rule_files": [handed_out("alerts.yml")],
            "scrape_configs": [{
                "job_name": "saldo", "authorization": { "credentials": TOKEN },
                "static_configs": [{ "targets": [target] }],
            }],
        });
        let file = folder.join("prometheus.yml");
        fs::write(&file, config.to_string()).expect("a file");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).expect("a file"))
            .spawn()
            .expect("prometheus runs");
        let api = Server::within(format!("http://127.0.0.1:{port}"));
        Some(Self { api, folder, process })
    }

    async fn get(&self, path: &str, query: &str) -> Option<Value> {
        let encoded: String =
            query.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let path = format!("/api/v1/{path}?query={encoded}");
        let answer = self.api.send(Method::GET, &path, &[], None).await.ok()?;
        (answer.body["status"] == "success").then(|| answer.body["data"].clone())
    }

    /// Asks until it is so.
    async fn until(&self, path: &str, query: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        for _ in 0..400 {
            last = self.get(path, query).await;
            if let Some(data) = last.as_ref().filter(|data| is(data)) {
                return data.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("{path} {query}: {last:?}\n{log}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The value of the one series that was found.
fn value(found: &Value) -> Option<&str> {
    found["result"][0]["value"][1].as_str()
}

#[tokio::test]
async fn prometheus_reads_a_node_and_its_rules_and_the_dashboard_can_be_asked() {
    let database = Database::in_memory().await;
    let settings = [("SALDO_METRICS_TOKEN", TOKEN), ("SALDO_RATE_LIMITS", "off")];
    let server = database.server_with(&database.url(), &settings);
    let Some(prometheus) = Prometheus::start(&server) else { return };
    let is = |wanted: &'static str| move |found: &Value| value(found) == Some(wanted);
    prometheus.until("query", "up{job=\"saldo\"}", is("1")).await;
    let ada = server.register("ada@example.com").await;
    server.debit(&ada, 7, "").await;
    prometheus.until("query", "sum(saldo_credits_consumed_total)", is("7")).await;
    let debits = "sum(saldo_http_requests_total{route=\"/api/v1/wallet/debits\",status=\"201\"})";
    prometheus.until("query", debits, is("1")).await;

    let well = |rule: &Value| rule["health"] == "ok";
    let groups = |data: &Value| data["groups"].as_array().cloned().unwrap_or_default();
    let rules = |data: &Value| -> Vec<Value> {
        groups(data).iter().filter_map(|it| it["rules"].as_array().cloned()).flatten().collect()
    };
    let all = |data: &Value| !rules(data).is_empty() && rules(data).iter().all(well);
    let found = prometheus.until("rules", "", all).await;
    let alarmed: Vec<_> =
        rules(&found).into_iter().filter(|rule| rule["state"] != "inactive").collect();
    assert_eq!(alarmed, Vec::<Value>::new(), "a node that is well alarms nobody");
    let asked = asked(&dashboard());
    assert!(asked.len() > 30, "{asked:?}");
    for query in asked {
        assert!(prometheus.get("query", &query).await.is_some(), "{query}");
    }
    // A read model that halts is an alarm.
    let pool = database.pool().await;
    let halt = "update projections.checkpoints set halted = 1, error = 'x', halted_at = now()
                where name = 'users'";
    sqlx::query(halt).execute(&pool).await.expect("it is halted");
    pool.close().await;
    let halted = |data: &Value| {
        let rules = rules(data);
        let halted = rules.iter().find(|rule| rule["name"] == "SaldoProjectionHalted");
        halted.is_some_and(|rule| rule["state"] == "pending")
    };
    prometheus.until("rules", "", halted).await;
    drop(prometheus);
    database.remove().await;
}

#[tokio::test]
async fn what_the_dashboard_and_the_alerts_name_is_told_by_a_node_and_all_of_it_is_named() {
    let database = Database::in_memory().await;
    let server = database.server();
    let scrape = Scrape::of(&server).await;
    let told = scrape.families();
    let alerts = fs::read_to_string(handed_out("alerts.yml")).expect("the alerts");
    let mut all = named(&alerts);
    assert!(all.contains("saldo_projection_halted"), "{all:?}");
    all.extend(named(&asked(&dashboard()).join("\n")));
    let missing: Vec<_> = all.iter().filter(|name| !told.contains(name.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
    let unused: Vec<_> = told.iter().filter(|name| !all.contains(**name)).collect();
    assert_eq!(unused, Vec::<&&str>::new());
    database.remove().await;
}

#[test]
fn the_alerts_are_rules_and_each_is_explained() {
    let page = fs::read_to_string(handed_out("watching.md")).expect("the page");
    let alerts = fs::read_to_string(handed_out("alerts.yml")).expect("the alerts");
    let names: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    let mut promtool = Command::new("promtool");
    match promtool.args(["check", "rules"]).arg(handed_out("alerts.yml")).output() {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr)),
        Err(error) => skip(&format!("promtool cannot be run: {error}; install prometheus")),
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_show() {
    let dashboard = dashboard();
    assert!(dashboard["title"].is_string() && dashboard["schemaVersion"].is_u64());
    let (mut ids, mut places) = (BTreeSet::new(), Vec::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        let place = &panel["gridPos"];
        let of = |side: &str| place[side].as_u64().unwrap_or_else(|| panic!("{panel}"));
        let place = [of("x"), of("y"), of("w"), of("h")];
        assert!(place[0] + place[2] <= 24, "{panel}");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{panel}");
        assert!(panel["title"].is_string() && panel["type"].is_string(), "{panel}");
        for other in &places {
            assert!(!overlap(place, *other), "{panel}");
        }
        places.push(place);
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(target["refId"].is_string(), "{panel}");
        }
    }
}

/// Whether two panels are in each other's place.
fn overlap([x, y, w, h]: [u64; 4], [x2, y2, w2, h2]: [u64; 4]) -> bool {
    x < x2 + w2 && x2 < x + w && y < y2 + h2 && y2 < y + h
}

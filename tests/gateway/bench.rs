//! What `saldo bench gateway` measures, in little: whether it is fast is another question.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::Database;

/// Answers as LiteLLM's proxy does, by asking the provider of its configuration.
const PROXY: &str = r#"#!/usr/bin/env python3
import http.client, re, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

config = open(sys.argv[sys.argv.index("--config") + 1]).read()
provider = re.search("api_base: http://([^/]+)/v1", config).group(1)
key = re.search("master_key: (.*)", config).group(1)

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.say(200 if self.path == "/health/liveliness" else 404, b"alive")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["authorization"] != f"Bearer {key}":
            return self.say(401, b"no")
        asked = http.client.HTTPConnection(provider)
        asked.request("POST", self.path, body, {"content-type": "application/json"})
        answer = asked.getresponse()
        self.say(answer.status, answer.read())

class Server(ThreadingHTTPServer):
    request_queue_size = 128

port = int(sys.argv[sys.argv.index("--port") + 1])
Server(("127.0.0.1", port), Handler).serve_forever()
"#;

#[tokio::test]
async fn a_measurement_has_every_figure_of_every_way_to_the_provider() {
    let database = Database::in_memory().await;
    fs::create_dir_all(&database.data).expect("a folder");
    let proxy = database.data.join("litellm");
    fs::write(&proxy, PROXY).expect("a file");
    fs::set_permissions(&proxy, Permissions::from_mode(0o755)).expect("a program");
    let proxy = proxy.to_str().expect("a plain path");
    let asks =
        ["bench", "gateway", "--json", "--rounds", "1", "--seconds", "1", "--litellm", proxy];
    let mut program = tokio::process::Command::from(database.program(&[]));
    let said = program.args(asks).kill_on_drop(true).output().await.expect("the program runs");
    let complaint = String::from_utf8_lossy(&said.stderr);
    let figures: Value = serde_json::from_slice(&said.stdout).expect(&complaint);
    let figure = |name: &str| {
        let value = figures[name].as_f64();
        value.unwrap_or_else(|| panic!("{name} is missing: {figures}\n{complaint}"))
    };
    // The provider takes this long.
    assert!(figure("straight_p50_ms") >= 50.0, "{figures}");
    assert!(figure("unmetered_p50_ms") >= 50.0, "{figures}");
    assert!(figure("gateway_p50_ms") > figure("unmetered_p50_ms"), "{figures}");
    for over in ["gateway_added_p50_ms", "gateway_over_straight_p50_ms"] {
        assert!(figure(over) > 0.0, "{figures}");
    }
    assert!(figure("gateway_p99_ms") >= figure("gateway_p50_ms"), "{figures}");
    for name in ["hold_p50_ms", "capture_p50_ms", "hold_p99_ms", "capture_p99_ms"] {
        assert!(figure(name) > 0.0, "{figures}");
    }
    assert!(figure("hold_capture_p50_ms") <= figure("gateway_p50_ms") - 49.0, "{figures}");
    for name in ["gateway_hot_calls_per_second", "litellm_calls_per_second"] {
        assert!(figure(name) > 0.0, "{figures}");
    }
    assert!(figures.get("litellm_added_p99_ms").is_some(), "{figures}");
    if cfg!(target_os = "linux") {
        assert!((0.0..100.0).contains(&figure("taken_by_others_percent")), "{figures}");
    }
    database.remove().await;
}

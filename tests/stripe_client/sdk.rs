//! Webhooks against Stripe's own libraries: what they sign is taken here, and what they refuse is
//! refused.

use std::path::Path;

use saldo::clients::stripe::webhook::verify;
use saldo::clock;
use serde_json::{Value, json};

use crate::answers::event;
use crate::installed::{NPM, PIP, Package};
use crate::library::Library;
use crate::signing::{header, v1};

const NODE: Library = Library {
    package: Package {
        name: "npm-stripe",
        files: &[
            ("package.json", include_str!("sdk/package.json")),
            ("package-lock.json", include_str!("sdk/package-lock.json")),
            ("sdk.mjs", include_str!("sdk/sdk.mjs")),
        ],
        program: "node",
        by: NPM,
    },
    script: "sdk.mjs",
};

const PYTHON: Library = Library {
    package: Package {
        name: "pypi-stripe",
        files: &[
            ("requirements.txt", include_str!("sdk/requirements.txt")),
            ("sdk.py", include_str!("sdk/sdk.py")),
        ],
        program: "python3",
        by: PIP,
    },
    script: "sdk.py",
};

const OURS: &str = "whsec_ours";
const OTHER: &str = "whsec_other";

#[test]
fn what_npm_stripe_signs_and_refuses_is_taken_and_refused() {
    agree(&NODE);
}

#[test]
fn what_pypi_stripe_signs_and_refuses_is_taken_and_refused() {
    agree(&PYTHON);
}

fn agree(library: &Library) {
    let Some(folder) = library.folder() else { return };
    let now = clock::now().timestamp();
    takes_what_it_signs(library, &folder, now);
    let cases = headers(now);
    let asked = cases.iter().map(
        |(_, body, header)| json!({ "verify": { "body": body, "header": header, "secret": OURS } }),
    );
    let theirs = library.ask(&folder, &asked.collect());
    for ((name, body, header), theirs) in cases.iter().zip(&theirs) {
        let ours = verify(body.as_bytes(), header, &[OURS.into()]).is_ok();
        assert_eq!(Value::Bool(ours), *theirs, "{name}: {header}");
    }
    assert_eq!(theirs.len(), cases.len());
    assert!(theirs.contains(&Value::Bool(true)) && theirs.contains(&Value::Bool(false)));
}

/// With each secret, old and new, and in any script.
fn takes_what_it_signs(library: &Library, folder: &Path, now: i64) {
    let mut cases = Vec::new();
    for body in bodies() {
        for (secret, age) in [(OURS, 0), (OURS, 200), (OURS, 400), (OTHER, 0)] {
            cases.push((body.clone(), secret, now - age, secret == OURS && age < 300));
        }
    }
    let sign = |(body, secret, time, _): &(String, &str, i64, bool)| json!({ "sign": { "body": body, "secret": secret, "time": time } });
    let signed = library.ask(folder, &cases.iter().map(sign).collect());
    assert_eq!(signed.len(), cases.len());
    for ((body, secret, time, good), header) in cases.iter().zip(&signed) {
        let header = header.as_str().expect("a header");
        let taken = verify(body.as_bytes(), header, &[OURS.into()]);
        assert_eq!(taken.is_ok(), *good, "{secret} {time} {header}: {taken:?}");
    }
}

fn bodies() -> Vec<String> {
    let mut foreign = event(1);
    foreign["data"]["object"]["name"] = json!("Ada Lovelace-Øström 🂡 \u{2028}");
    let pretty = serde_json::to_string_pretty(&foreign).expect("JSON") + "\n";
    vec![event(1).to_string(), foreign.to_string(), pretty]
}

/// Headers that are good and that are not. Not among them is a time to come: Stripe's libraries take
/// any, and here a clock that far off is an error.
fn headers(now: i64) -> Vec<(&'static str, String, String)> {
    let body = event(1).to_string();
    let (good, other) = (v1(OURS, now, &body), v1(OTHER, now, &body));
    let changed = body.replace("evt_1", "evt_2");
    let same = |name: &'static str, header: String| (name, body.clone(), header);
    vec![
        same("good", header(OURS, now, &body)),
        same("another secret", header(OTHER, now, &body)),
        same("two, ours first", format!("t={now},v1={good},v1={other}")),
        same("two, ours last", format!("t={now},v1={other},v1={good}")),
        same("one that is no hex", format!("t={now},v1=zz,v1={good}")),
        same("an old scheme beside", format!("t={now},v0={good},v1={good}")),
        same("an old scheme alone", format!("t={now},v0={good}")),
        same("no signature", format!("t={now}")),
        same("no time", format!("v1={good}")),
        same("a time that is none", format!("t=now,v1={good}")),
        same("another time", format!("t={},v1={good}", now - 1)),
        same("too old", header(OURS, now - 400, &body)),
        same("nearly too old", header(OURS, now - 200, &body)),
        same("nothing", String::new()),
        same("nonsense", "nonsense".to_owned()),
        same("cut off", format!("t={now},v1={}", &good[..40])),
        ("changed", changed.clone(), header(OURS, now, &body)),
        ("signed after the change", changed.clone(), header(OURS, now, &changed)),
        ("one more line", format!("{body}\n"), header(OURS, now, &body)),
    ]
}

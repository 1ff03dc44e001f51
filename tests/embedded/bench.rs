//! What a measurement on the private Postgres begins with.

use serde_json::Value;

use crate::support::Folder;

/// Without them a run measures how long a disk takes to make segments, which a database that has been up for a while has.
#[test]
fn a_measurement_finds_wal_that_was_made_ahead() {
    let folder = Folder::new();
    let asks = ["gateway", "--json", "--rounds", "1", "--seconds", "1"];
    let said = folder.saldo("bench").args(asks).output().expect("the program runs");
    let figures: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    let ahead = figures["wal_segments_ahead"].as_f64().expect("a figure");
    assert!((20.0..=32.0).contains(&ahead), "{figures}");
}

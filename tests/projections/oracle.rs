//! What the tables should say: a fold of the log that shares no code with the projections. JSON
//! in, rows out, one event at a time; figures are added up from what each event moved, and not
//! taken from what it says is there afterwards.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool};

/// The rows of a table by their key.
type Table = BTreeMap<String, Map<String, Value>>;

/// What the tables should say.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    wallets: Table,
    grants: Table,
    holds: Table,
    transactions: Table,
    users: Table,
}

/// An event of the log.
#[derive(sqlx::FromRow)]
struct Line {
    position: i64,
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    payload: String,
    request_id: String,
    recorded_at: DateTime<Utc>,
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or(0)
}

fn micros(value: &Value) -> Value {
    let text = value.as_str();
    text.map_or(Value::Null, |text| {
        json!(text.parse::<DateTime<Utc>>().unwrap().timestamp_micros())
    })
}

fn row(value: Value) -> Map<String, Value> {
    let Value::Object(row) = value else { panic!("{value} is no row") };
    row
}

fn add(row: &mut Map<String, Value>, name: &str, amount: i64) {
    let sum = row[name].as_i64().unwrap() + amount;
    assert!(sum >= 0, "{name} of {row:?} would be {sum}");
    row.insert(name.to_owned(), json!(sum));
}

impl Oracle {
    /// Folds the whole log.
    pub(crate) async fn now(pool: &PgPool) -> Self {
        let lines: Vec<Line> = sqlx::query_as(
            "select position, aggregate_type, aggregate_id, sequence, payload::text,
                 metadata ->> 'request_id' as request_id, recorded_at
             from events order by position",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let mut oracle = Self::default();
        for line in &lines {
            let payload: Map<String, Value> = serde_json::from_str(&line.payload).unwrap();
            let (name, event) = payload.into_iter().next().unwrap();
            match line.aggregate_type.as_str() {
                "wallet" => oracle.wallet(line, &name, &event),
                "user" => oracle.user(line, &name, &event),
                other => panic!("{other}"),
            }
        }
        oracle
    }

    fn wallet(&mut self, line: &Line, name: &str, event: &Value) {
        let wallet = &line.aggregate_id;
        if name == "Opened" {
            let new = json!({ "wallet_id": wallet, "available": 0, "held": 0, "debt": 0 });
            assert!(self.wallets.insert(wallet.clone(), row(new)).is_none());
        }
        for terms in [&event["grant"], &event["restored"]].into_iter().filter(|t| t.is_object()) {
            let grant = json!({
                "wallet_id": wallet, "grant_id": terms["id"], "kind": terms["kind"],
                "granted": terms["amount"], "remaining": terms["amount"], "held": 0,
                "priority": terms["priority"], "expires_at": micros(&terms["expires_at"]),
                "funding": terms["funding"], "position": line.position,
            });
            let key = format!("{wallet} {}", terms["id"].as_str().unwrap());
            assert!(self.grants.insert(key, row(grant)).is_none());
        }
        let one = event["movement"].is_object().then(|| event["movement"].clone());
        let many = event["movements"].as_array().cloned().unwrap_or_default();
        let movements: Vec<Value> = one.into_iter().chain(many).collect();
        for movement in &movements {
            self.movement(wallet, name, movement);
        }
        if name.starts_with("Hold") {
            self.hold(line, name, event);
        }
        let before = self.wallets[wallet]["available"].as_i64().unwrap();
        self.wallet_after(line, name, event);
        if event["balance"].is_object() {
            self.transaction(line, name, event, &movements, before);
        }
    }

    fn movement(&mut self, wallet: &str, name: &str, movement: &Value) {
        let key = format!("{wallet} {}", movement["grant"].as_str().unwrap());
        let grant = self.grants.get_mut(&key).unwrap();
        let [amount, released, expired, from_expired] =
            ["amount", "released", "expired", "from_expired"].map(|of| number(movement, of));
        let (remaining, held) = match name {
            "HoldAuthorized" | "HoldIncremented" => (-amount, amount),
            "HoldCaptured" => (released, -amount - released - expired),
            "HoldReleased" | "HoldExpired" => (released, -released - expired),
            "DebitReversed" => (amount - expired, 0),
            "ClawedBack" => (from_expired - amount, 0),
            "GrantVoided" | "GrantExpired" | "HoldLateCaptured" | "Debited" | "DebtRepaid" => {
                (-amount, 0)
            }
            other => panic!("{other} moves no grant"),
        };
        add(grant, "remaining", remaining);
        add(grant, "held", held);
    }

    fn hold(&mut self, line: &Line, name: &str, event: &Value) {
        let wallet = &line.aggregate_id;
        let key = format!("{wallet} {}", event["hold"].as_str().unwrap());
        if name == "HoldAuthorized" {
            let new = json!({
                "wallet_id": wallet, "hold_id": event["hold"], "origin": event["origin"],
                "state": "authorized", "authorized": 0, "captured": 0, "released": 0,
                "expires_at": 0, "position": line.position,
            });
            // A closed hold's id may be used again.
            self.holds.insert(key.clone(), row(new));
        }
        let hold = self.holds.get_mut(&key).unwrap();
        let amount = number(event, "amount");
        let state = match name {
            "HoldAuthorized" | "HoldIncremented" => {
                add(hold, "authorized", amount);
                "authorized"
            }
            "HoldExtended" => "authorized",
            "HoldCaptured" => {
                add(hold, "captured", amount);
                add(hold, "released", number(event, "released"));
                if event["last"] == true { "captured" } else { "authorized" }
            }
            "HoldReleased" | "HoldExpired" => {
                add(hold, "released", amount);
                if name == "HoldReleased" { "released" } else { "expired" }
            }
            // It was expired, and stays so.
            _ => return,
        };
        hold.insert("state".to_owned(), json!(state));
        hold.insert("expires_at".to_owned(), micros(&event["figures"]["expires_at"]));
    }

    /// The wallet is what its grants are, and its debt.
    fn wallet_after(&mut self, line: &Line, name: &str, event: &Value) {
        let of_wallet = format!("{} ", line.aggregate_id);
        let mine = || {
            self.grants
                .range(of_wallet.clone()..)
                .take_while(|(key, _)| key.starts_with(&of_wallet))
        };
        let sum = |of: &str| mine().map(|(_, grant)| grant[of].as_i64().unwrap()).sum::<i64>();
        let (available, held) = (sum("remaining"), sum("held"));
        let owed = match name {
            "ClawedBack" => number(event, "indebted"),
            "Reinstated" => -number(event, "debt_forgiven"),
            "DebtRepaid" | "DebtWrittenOff" => -number(event, "amount"),
            _ => 0,
        };
        let wallet = self.wallets.get_mut(&line.aggregate_id).unwrap();
        add(wallet, "debt", owed);
        wallet.insert("available".to_owned(), json!(available));
        wallet.insert("held".to_owned(), json!(held));
        wallet.insert("version".to_owned(), json!(line.sequence));
        wallet.insert("position".to_owned(), json!(line.position));
    }

    fn transaction(
        &mut self,
        line: &Line,
        name: &str,
        event: &Value,
        movements: &[Value],
        before: i64,
    ) {
        let wallet = &self.wallets[&line.aggregate_id];
        let amount = number(event, "amount");
        let moved: i64 = movements.iter().map(|movement| number(movement, "amount")).sum();
        let given = event["reason"].as_str().unwrap_or_default();
        let nil = json!(uuid::Uuid::nil());
        let first = movements.first().map_or(&nil, |movement| &movement["grant"]);
        let (kind, consumed, reason, reference) = match name {
            "Granted" => ("grant", 0, given, &event["grant"]["id"]),
            "GrantVoided" => ("void", 0, given, first),
            "GrantExpired" => ("expiry", 0, "the grant expired", first),
            "HoldAuthorized" => ("hold", 0, given, &event["hold"]),
            "HoldIncremented" => ("hold_increment", 0, "the hold grew", &event["hold"]),
            "HoldCaptured" => ("capture", amount, "captured", &event["hold"]),
            "HoldReleased" => ("release", 0, given, &event["hold"]),
            "HoldExpired" => ("hold_expiry", 0, "the hold expired", &event["hold"]),
            "HoldLateCaptured" => {
                ("late_capture", moved, "delivered after the hold expired", &event["hold"])
            }
            "Debited" => ("debit", amount, given, &event["debit"]),
            "DebitReversed" => ("debit_reversal", -amount, given, &event["debit"]),
            "ClawedBack" => ("clawback", 0, "the payment was reversed", &event["group"]),
            "Reinstated" => ("reinstatement", 0, "the reversal was undone", &event["group"]),
            "DebtRepaid" => ("debt_repayment", 0, "debt was repaid", first),
            "DebtWrittenOff" => ("debt_write_off", 0, given, &nil),
            other => panic!("{other} moves no credits"),
        };
        let new = json!({
            "position": line.position, "wallet_id": line.aggregate_id, "kind": kind,
            "amount": wallet["available"].as_i64().unwrap() - before, "consumed": consumed,
            "available_after": wallet["available"], "held_after": wallet["held"],
            "debt_after": wallet["debt"], "reason": reason, "reference": reference,
            "request_id": line.request_id, "recorded_at": line.recorded_at.timestamp_micros(),
        });
        self.transactions.insert(line.position.to_string(), row(new));
    }

    fn user(&mut self, line: &Line, name: &str, event: &Value) {
        let user = self.users.entry(line.aggregate_id.clone()).or_default();
        match name {
            "Registered" => {
                *user = row(json!({
                    "user_id": line.aggregate_id, "email": event["email"]["$pii"],
                    "email_verified": false, "phone": null, "name": event["name"]["$pii"],
                    "role": "user", "status": "active", "registered_at": micros(&event["at"]),
                    "last_seen_at": micros(&event["at"]),
                }));
            }
            "ProfileChanged" => {
                user.insert("name".to_owned(), event["name"]["$pii"].clone());
            }
            "SessionStarted" => {
                user.insert("last_seen_at".to_owned(), micros(&event["at"]));
            }
            "EmailVerified" => user.extend(row(json!({
                "email": event["email"]["$pii"], "email_verified": true,
            }))),
            "PhoneVerified" => {
                user.insert("phone".to_owned(), event["phone"]["$pii"].clone());
            }
            "RoleChanged" => {
                user.insert("role".to_owned(), event["role"].clone());
            }
            "Deactivated" => {
                user.insert("status".to_owned(), json!("deactivated"));
            }
            "Reactivated" => {
                user.insert("status".to_owned(), json!("active"));
            }
            "Erased" => user.extend(row(json!({
                "email": null, "email_verified": false, "phone": null, "name": null,
                "role": "user", "status": "erased",
            }))),
            "TakenOver" => user.extend(row(json!({ "phone": null, "role": "user" }))),
            "PasswordSet" | "IdentityLinked" | "IdentityUnlinked" | "SessionsEnded"
            | "ApiKeyCreated" | "ApiKeyRevoked" => {}
            other => panic!("{other}"),
        }
    }

    /// Fails unless the tables say the same.
    pub(crate) async fn compare(&self, pool: &PgPool) {
        self.compare_balances(pool).await;
        same(&self.transactions, pool, "transactions", "position", &["recorded_at"]).await;
        same(&self.users, pool, "users", "user_id", &["registered_at", "last_seen_at"]).await;
    }

    /// The same for the tables of one projection.
    pub(crate) async fn compare_balances(&self, pool: &PgPool) {
        same(&self.wallets, pool, "wallets", "wallet_id", &[]).await;
        same(&self.grants, pool, "grants", "wallet_id || ' ' || grant_id", &["expires_at"]).await;
        same(&self.holds, pool, "holds", "wallet_id || ' ' || hold_id", &["expires_at"]).await;
    }
}

/// Fails at the first row that is not the same. Columns that are generated follow from the others.
async fn same(expected: &Table, pool: &PgPool, table: &str, key: &str, times: &[&str]) {
    let times: Vec<String> = times
        .iter()
        .map(|name| format!("'{name}', (extract(epoch from {name}) * 1000000)::bigint"))
        .collect();
    let sql = format!(
        "select ({key})::text, to_jsonb(t) - 'live' || jsonb_build_object({}) from {table} t",
        times.join(", ")
    );
    let rows: Vec<(String, Value)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
    let found: Table = rows.into_iter().map(|(key, found)| (key, row(found))).collect();
    for (key, expected) in expected {
        assert_eq!(found.get(key), Some(expected), "{key} of {table}");
    }
    assert_eq!(found.len(), expected.len(), "rows of {table}");
}

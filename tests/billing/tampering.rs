//! Whoever edits what the tables say of sales is found out, whichever row and column it is.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::plans::DAY;
use crate::recharge::{spend, turn_on, until_state};
use crate::shop::Shop;
use crate::stripe::Funds;
use crate::support::Database;
use crate::world::send;

/// A shop in which every table has rows, and nearly every column has something: a pack that was
/// given back in part and one that is disputed, a plan that was renewed, given back in part and is
/// to end, offers that were changed and retired, and a wallet that was recharged. Nobody is
/// connected to its database any more.
async fn lively_shop() -> Database {
    let shop = Shop::open_ago(40 * DAY).await;
    shop.administrate();
    let checkout = shop.order_keeping_card("Starter", "card").await;
    shop.stripe.pay_checkout(&checkout);
    shop.hear().await;
    turn_on(&shop, 100, 1_800).await;
    spend(&shop, 250).await;
    shop.until_available(250).await;
    until_state(&shop, "ready").await;

    let subscription = shop.subscribed("Basic", "plan").await;
    let invoice = shop.stripe.object(&subscription)["latest_invoice"].clone();
    shop.stripe.renew(&subscription);
    shop.stripe.refund(invoice.as_str().expect("an id"), Some(450));
    shop.hear().await;
    shop.manage("cancel", &json!({})).await;

    let (_, refunded) = shop.bought("Starter", "refunded").await;
    shop.stripe.refund(&refunded, Some(300));
    let (_, disputed) = shop.bought("Starter", "disputed").await;
    shop.stripe.open_dispute(&disputed, None, Funds::Withdrawn);
    shop.administer(&format!("packs/{}", shop.pack("Pro").await), "retire").await;
    reprice(&shop, &shop.pack("Starter").await).await;
    shop.hear().await;
    let Shop { database, mut server, .. } = shop;
    server.stop();
    database.disconnect().await;
    database
}

/// Sells a pack on other terms from now on.
async fn reprice(shop: &Shop, pack: &str) {
    let price = json!({ "amount_minor": 950, "currency": "usd" });
    let terms = json!({ "name": "Starter", "credits": 210, "bonus": 5, "price": price });
    let path = format!("/admin/packs/{pack}");
    let changed = send(&shop.server, Method::PUT, &path, &shop.ada.access, &terms).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
}

/// What is wrong with the read models, by table; where nothing is, that is what must be said.
fn found(database: &Database) -> BTreeMap<String, Vec<Value>> {
    let (clean, said) = database.run(&["verify", "--json"]);
    let report: Value = serde_json::from_str(&said).expect("JSON");
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for finding in report["findings"].as_array().expect("findings") {
        assert_eq!(finding["kind"], "read_model", "{finding}");
        let place = finding["place"].as_str().expect("a place");
        let table = place.split(',').next().expect("a table").to_owned();
        found.entry(table).or_default().push(finding.clone());
    }
    assert_eq!(clean, found.is_empty(), "{said}");
    found
}

/// The tables of what is bought and sold, with their columns and the types of those; the keys come
/// first.
async fn tables(database: &Database) -> BTreeMap<String, Vec<(String, String)>> {
    let pool = database.pool().await;
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text, udt_name::text from information_schema.columns
         where table_schema = 'billing' order by ordinal_position",
    )
    .fetch_all(&pool)
    .await
    .expect("the database knows its columns");
    pool.close().await;
    let mut tables: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (table, column, kind) in columns {
        tables.entry(table).or_default().push((column, kind));
    }
    tables
}

/// What a column does not have, in SQL.
fn another(column: &str, kind: &str) -> String {
    match kind {
        "uuid" => "gen_random_uuid()".to_owned(),
        "text" => format!("coalesce({column}, '') || 'x'"),
        "_text" => format!("array_append({column}, 'x')"),
        "int4" | "int8" => format!("coalesce({column}, 0) + 1"),
        "bool" => format!("not coalesce({column}, false)"),
        "date" => format!("coalesce({column}, current_date) + 1"),
        "timestamptz" => format!("coalesce({column}, now()) + interval '1 microsecond'"),
        "jsonb" => format!("jsonb_set({column}, '{{quota}}', '1')"),
        kind => panic!("nobody has thought about {kind}, of which {column} is"),
    }
}

async fn execute(database: &Database, sql: &str) {
    let pool = database.pool().await;
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&pool).await.expect(sql);
    assert_eq!(done.rows_affected(), 1, "{sql}");
    pool.close().await;
}

/// In each turn a row of every table has another value in one column.
#[tokio::test]
async fn an_edited_column_of_any_sale_is_found() {
    let database = lively_shop().await;
    assert_eq!(found(&database), BTreeMap::new());
    let tables = tables(&database).await;
    let most = tables.values().map(Vec::len).max().expect("tables");
    for turn in 0..most {
        let copy = database.copy().await;
        let edited = tables.iter().filter_map(|(table, columns)| Some((table, columns.get(turn)?)));
        let edited: Vec<_> = edited.collect();
        for (table, (column, kind)) in &edited {
            let another = another(column, kind);
            let edit = format!(
                "update {table} set {column} = {another}
                 where ctid = (select min(ctid) from {table})"
            );
            execute(&copy, &edit).await;
        }
        let found = found(&copy);
        for (table, (column, _)) in &edited {
            assert!(found.contains_key(*table), "{column} of {table}: {found:#?}");
        }
        assert_eq!(found.len(), edited.len(), "{found:#?}");
        copy.discard().await;
    }
    database.remove().await;
}

#[tokio::test]
async fn a_sale_that_is_missing_and_one_that_nobody_made_are_found() {
    let database = lively_shop().await;
    let tables = tables(&database).await;
    let removed = database.copy().await;
    for table in tables.keys() {
        let remove = format!("delete from {table} where ctid = (select min(ctid) from {table})");
        execute(&removed, &remove).await;
    }
    let invented = database.copy().await;
    for (table, columns) in &tables {
        let (key, _) = &columns[0];
        let invent = format!(
            "insert into {table} select (jsonb_populate_record(known,
                 jsonb_build_object('{key}', gen_random_uuid()))).* from {table} known limit 1"
        );
        execute(&invented, &invent).await;
    }
    let of = |database: &Database, field: &str| -> BTreeMap<String, Vec<String>> {
        let told = |findings: Vec<Value>| findings.iter().map(|it| it[field].to_string()).collect();
        found(database).into_iter().map(|(table, findings)| (table, told(findings))).collect()
    };
    let each = |what: &str| -> BTreeMap<String, Vec<String>> {
        tables.keys().map(|table| (table.clone(), vec![json!(what).to_string()])).collect()
    };
    assert_eq!(of(&removed, "found"), each("none"));
    assert_eq!(of(&invented, "expected"), each("no row"));
    removed.discard().await;
    invented.discard().await;
    database.remove().await;
}

/// What the tables do not know yet they need not say; what they claim to know they must.
#[tokio::test]
async fn tables_that_are_behind_are_held_against_what_they_have_seen() {
    let shop = Shop::open().await;
    shop.administrate();
    shop.bought("Starter", "one").await;
    shop.until(|| shop.is_quiet()).await;
    let starter = shop.pack("Starter").await;
    let pool = shop.database.pool().await;
    let mut leader = pool.begin().await.expect("a transaction");
    let lead = "select from projections.checkpoints where name = 'billing' for update";
    sqlx::query(lead).execute(&mut *leader).await.expect("nobody else has it");
    reprice(&shop, &starter).await;
    shop.server.kill();
    leader.rollback().await.expect("the transaction ends");
    pool.close().await;
    let behind = "update projections.checkpoints c set position = h.position from log_head h
        where c.name = 'billing' and c.position < h.position";
    assert_eq!(found(&shop.database), BTreeMap::new());
    execute(&shop.database, behind).await;
    assert_eq!(found(&shop.database).into_keys().collect::<Vec<_>>(), ["packs"]);
    shop.database.remove().await;
}

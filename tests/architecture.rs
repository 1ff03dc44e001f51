//! Arrows run down only: what each place may name of the crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Each place of `src`, with what it may use besides the ground.
const ARROWS: &[(&str, &[&str])] = &[
    ("store", &[]),
    ("clients", &[]),
    ("unseal", &["store"]),
    ("queue", &["clients", "store"]),
    ("declines", &["store"]),
    ("models", &["clients"]),
    ("rates", &["clients"]),
    ("app", &["clients", "declines", "models", "rates", "store"]),
    ("accounts", &["app", "clients", "metering", "queue", "store"]),
    ("inbox", &[]),
    ("billing", &["accounts", "app", "clients", "queue", "store"]),
    ("webhooks", &["accounts", "app", "clients", "queue", "store"]),
    ("explain", &["app", "store"]),
    ("verify", &["store"]),
    ("metering", &["app", "clients", "declines", "models", "queue", "store"]),
    ("administration", &["app", "chats", "metering", "queue", "store", "verify"]),
    ("metrics", &["app", "clients", "store"]),
    ("chats", &["app", "clients", "metering", "models", "queue", "store"]),
    ("processes", &["app", "billing", "chats", "clients", "queue", "store", "webhooks"]),
    (
        "jobs",
        &[
            "administration",
            "app",
            "billing",
            "chats",
            "clients",
            "inbox",
            "metering",
            "queue",
            "store",
            "webhooks",
        ],
    ),
    (
        "http",
        &[
            "accounts",
            "administration",
            "app",
            "billing",
            "chats",
            "clients",
            "declines",
            "explain",
            "inbox",
            "metering",
            "metrics",
            "models",
            "rates",
            "store",
            "webhooks",
        ],
    ),
    (
        "serve",
        &[
            "app",
            "billing",
            "clients",
            "declines",
            "http",
            "jobs",
            "models",
            "processes",
            "queue",
            "rates",
            "store",
        ],
    ),
    ("bench", &["clients", "serve", "store", "verify"]),
    ("cli", &["accounts", "bench", "clients", "serve", "store", "verify"]),
];

/// What lies on the ground: it uses nothing of the crate but the ground and the store's words.
const GROUND: &[&str] = &[
    "calls",
    "clock",
    "closings",
    "config",
    "counters",
    "detach",
    "embedded",
    "error",
    "health",
    "keys",
    "passwords",
    "replica",
    "tokens",
    "traces",
    "wakes",
];

#[test]
fn arrows_run_down_only() {
    let mut wrong = Vec::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let place = place_of(path);
        let Some((_, may)) = ARROWS.iter().find(|(name, _)| *name == place) else { return };
        for used in text.split("crate::").skip(1) {
            let used: String =
                used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = ARROWS.iter().any(|(name, _)| *name == used);
            if known && used != place && !may.contains(&used.as_str()) {
                wrong.push(format!("{}: {place} uses {used}", path.display()));
            }
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_place_is_on_the_map() {
    let known = |name: &str| {
        GROUND.contains(&name)
            || ["lib", "main"].contains(&name)
            || ARROWS.iter().any(|(place, _)| *place == name)
    };
    let mut unknown = Vec::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, _| {
        let place = place_of(path);
        if !known(&place) {
            unknown.push(place);
        }
    });
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn only_its_client_knows_how_stripe_is_called() {
    let crates = [
        "use stripe::",
        " ::stripe::",
        "stripe_billing",
        "stripe_checkout",
        "stripe_core",
        "stripe_product",
        "stripe_types",
        "stripe_webhook",
    ];
    let mut wrong = Vec::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let named: Vec<_> = crates.iter().filter(|name| text.contains(**name)).collect();
        if !path.starts_with("src/clients/stripe") && !named.is_empty() {
            wrong.push(format!("{}: {named:?}", path.display()));
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
}

/// `tests/operations/replica.rs` asks each of them at a standby that stands still.
#[test]
fn what_a_standby_answers_sees_the_position_that_its_caller_names() {
    let (mut all, mut wrong) = (0, Vec::new());
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        for asked in text.split("app.read(").skip(1) {
            let asked = asked.split(".await").next().unwrap_or_default();
            all += 1;
            if asked.contains("None") {
                wrong.push(format!("{}: {asked}", path.display()));
            }
        }
    });
    assert!(all >= 7, "reads are found at all: {all}");
    assert_eq!(wrong, Vec::<String>::new());
}

/// `tests/gateway/inventory.rs` asks all routes; this is that there are no others.
#[test]
fn only_the_meter_asks_ai_providers_and_only_routes_of_ai_have_it_do_so() {
    let mut wrong = Vec::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let is_below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        let asks = text.contains("llm.answer(");
        let has_asked =
            ["metering::call(", "metering::pour(", "metering::queue(", "metering::make("];
        let has_asked = has_asked.iter().any(|way| text.contains(way)) || text.contains("chats::");
        let routes = ["src/http/ai.rs", "src/http/chats", "src/http/openai", "src/http/mod.rs"];
        // The bench compares with the same call without metering, at a provider of its own.
        let may_ask = ["src/metering", "src/clients/llm", "src/bench/unmetered.rs"];
        if asks && !is_below(&may_ask)
            || has_asked && path.starts_with("src/http") && !is_below(&routes)
        {
            wrong.push(path.display().to_string());
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
}

/// The authorization matrix, the fuzzer and the clients' tests go by the document: what is not in it, none of them sees.
/// `routes!` puts a route into both; what stands beside is its own pages, and what only operators reach.
#[test]
fn every_route_is_in_the_document_of_the_api() {
    let mut beside = Vec::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http")), &mut |path, text| {
        let ways = [".route(", ".route_service(", ".nest_service(", ".fallback_service("];
        let routes = ways.iter().flat_map(|way| text.split(way).skip(1));
        let routes = routes.map(|route| route.trim_start().split(',').next().unwrap_or_default());
        if !path.starts_with("src/http/docs") {
            beside.extend(routes.map(|route| format!("{}: {route}", path.display())));
        }
    });
    assert_eq!(beside, [r#"src/http/mod.rs: "/metrics""#]);
}

/// Whoever makes the proof of a hold of an event could make it of one that was spent long ago.
#[test]
fn only_tickets_make_the_proof_of_an_open_hold() {
    let mut making = BTreeSet::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        if text.contains(".opens()") || text.contains("::opens") {
            making.insert(path.display().to_string());
        }
    });
    // The bench's is of a wallet that nobody has.
    let may = ["src/bench/unmetered.rs", "src/metering/ticket.rs"];
    assert_eq!(making, BTreeSet::from(may.map(str::to_owned)));
}

#[test]
fn the_domain_and_the_read_side_know_nothing_of_the_world() {
    let manifest = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("Cargo.toml");
        fs::read_to_string(path).expect("a manifest")
    };
    for forbidden in ["sqlx", "axum", "tokio.workspace = true\n\n[dev", "reqwest"] {
        let domain = manifest("aggregates");
        let domain = domain.split("[dev-dependencies]").next().unwrap_or_default();
        assert!(!domain.contains(forbidden), "aggregates depends on {forbidden}");
    }
    for forbidden in ["axum", "reqwest", "saldo ="] {
        assert!(!manifest("projections").contains(forbidden), "projections depends on {forbidden}");
    }
}

/// The description of the API has one schema for each name: of two bodies that are called alike, one
/// would be told wrong.
#[test]
fn no_two_bodies_are_called_alike() {
    let mut names = Vec::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http")), &mut |_, text| {
        for described in text.split("ToSchema)]").skip(1) {
            let mut words = described.split_whitespace();
            words.find(|word| matches!(*word, "struct" | "enum"));
            names.extend(words.next().map(str::to_owned));
        }
    });
    assert!(names.len() > 50, "{names:?}");
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn the_tests_that_the_page_on_security_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).expect("the page");
    let mut code = String::new();
    for folder in
        ["src", "tests/administration", "tests/operations", "tests/sign_in", "tests/system"]
    {
        visit(&root.join(folder), &mut |_, text| code.push_str(text));
    }
    let named = page.split('`').filter(|word| word.contains("::") && !word.ends_with('*'));
    let named = named.filter_map(|path| path.rsplit("::").next());
    let mut missing: Vec<_> =
        named.filter(|name| name.contains('_') && !code.contains(&format!("fn {name}("))).collect();
    missing.dedup();
    assert_eq!(missing, Vec::<&str>::new());
    assert!(page.contains("passwords::"), "names are found at all");
}

#[test]
fn every_setting_is_in_the_example_and_in_the_readme_and_nothing_else_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut settings = BTreeSet::from(BESIDE_THE_COMMAND_LINE.map(str::to_owned));
    visit(&root.join("src"), &mut |_, text| {
        let named = text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
        settings.extend(named.filter(|name| is_setting(name)).map(str::to_owned));
    });
    assert!(settings.len() > 40, "{settings:?}");

    let example = fs::read_to_string(root.join(".env.example")).expect("the example");
    let lines = example.lines().filter_map(|line| line.trim_start_matches("# ").split_once('='));
    let named = lines.map(|(name, _)| name.to_owned()).filter(|name| is_setting(name));
    assert_eq!(named.collect::<BTreeSet<_>>(), settings, ".env.example");

    let readme = fs::read_to_string(root.join("README.md")).expect("the readme");
    let table = readme.split("## Configuration").nth(1).expect("a chapter on it");
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let named = rows.flat_map(|cell| cell.split('`')).filter(|name| is_setting(name));
    assert_eq!(named.map(str::to_owned).collect::<BTreeSet<_>>(), settings, "README.md");
}

#[test]
fn the_routes_that_the_map_of_the_seeds_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut routes = BTreeSet::new();
    visit(&root.join("src/http"), &mut |_, text| {
        for described in text.split("utoipa::path(").skip(1) {
            let method = described.split(',').next().unwrap_or_default().trim().to_uppercase();
            let path = described.split("path = \"").nth(1).and_then(|rest| rest.split('"').next());
            let path = path.unwrap_or_default();
            routes.extend([format!("{method} /api/v1{path}"), format!("{method} {path}")]);
        }
    });
    let page = fs::read_to_string(root.join("docs/seeds.md")).expect("the page");
    let readme = fs::read_to_string(root.join("README.md")).expect("the readme");
    let in_short = readme.split("## Where the five seeds went").nth(1).expect("a chapter on them");
    let in_short = in_short.split("\n## ").next().unwrap_or_default();
    let named = |page| {
        let ours = str::lines(page).filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        ours.flat_map(|(_, ours)| ours.split('`')).filter(|name| name.contains(" /"))
    };
    assert!(named(in_short).count() > 15, "{in_short}");
    let named: Vec<_> = named(&page[..]).chain(named(in_short)).collect();
    assert!(named.len() > 75, "{named:?}");
    let missing: Vec<_> = named.into_iter().filter(|name| !routes.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Migrations after this one come when there are nodes at work.
const FIRST_RELEASE: u32 = 16;

#[test]
fn a_migration_that_alters_a_table_does_not_have_everybody_wait_behind_it() {
    let mut wrong = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in fs::read_dir(folder).expect("migrations").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number: u32 = name.split('_').next().and_then(|it| it.parse().ok()).expect("a number");
        let sql = fs::read_to_string(entry.path()).expect("a migration");
        if number > FIRST_RELEASE && waits_for_long(&sql) {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "see docs/operations/migrations.md");

    let alters = "alter table sessions add column seen text;";
    assert!(waits_for_long(alters));
    assert!(waits_for_long(&format!("-- set local lock_timeout = '2s';\n{alters}")));
    assert!(waits_for_long(&format!("{alters}\nset local lock_timeout = '2s';")));
    assert!(!waits_for_long(&format!("set local lock_timeout = '2s';\n{alters}")));
    assert!(waits_for_long(&format!("set lock_timeout = '2s';\n{alters}")));
    assert!(!waits_for_long("create table seats (id int);\nalter table seats add column row int;"));
}

/// Whether it alters a table that was there before it, and has not said for how long it would wait for that.
fn waits_for_long(migration: &str) -> bool {
    let code = migration.lines().map(|line| line.split("--").next().unwrap_or_default());
    let code: Vec<_> = code.flat_map(str::split_whitespace).map(str::to_lowercase).collect();
    let after = |words: &[&str], at: usize| {
        let beside = ["if", "not", "exists", "only"];
        let named = code.get(at + words.len()..).unwrap_or_default().iter();
        let mut named = named.filter(|word| !beside.contains(&word.as_str()));
        let is_here = code.get(at..at + words.len()).is_some_and(|here| here == words);
        is_here.then(|| named.next().cloned().unwrap_or_default())
    };
    let mut new = BTreeSet::new();
    for at in 0..code.len() {
        // For its transaction only: the connection is one of the node's.
        if after(&["set", "local"], at).is_some_and(|what| what.starts_with("lock_timeout")) {
            return false;
        }
        new.extend(after(&["create", "table"], at));
        if after(&["alter", "table"], at).is_some_and(|table| !new.contains(&table)) {
            return true;
        }
    }
    false
}

/// What the log and the private Postgres read of the environment by themselves.
const BESIDE_THE_COMMAND_LINE: [&str; 2] = ["RUST_LOG", "SALDO_PG_NO_SYSTEM"];

fn is_setting(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.chars().all(is_word)
}

/// The first folder or file below `src`.
fn place_of(path: &Path) -> String {
    let mut parts = path.components().skip_while(|part| part.as_os_str() != "src").skip(1);
    let name = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    name.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

fn visit(folder: &Path, see: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            visit(&path, see);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a file");
            see(path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path), &text);
        }
    }
}

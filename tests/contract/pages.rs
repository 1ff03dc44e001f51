//! The pages that show the document, from inside the server.

use reqwest::{Method, StatusCode};

use crate::support::{Answer, Database, Server};

async fn get(server: &Server, path: &str) -> Answer {
    let answer = server.send(Method::GET, path, &[], None).await.expect("the server answers");
    assert_eq!(answer.status, StatusCode::OK, "{path}");
    answer
}

/// What a page names in `src`, `href` and the like.
fn named(page: &str) -> Vec<&str> {
    let values = page.split("=\"").skip(1).filter_map(|rest| rest.split('"').next());
    values.filter(|value| value.contains('/') || value.contains(':')).collect()
}

/// What a page loads.
fn linked(page: &str) -> Vec<&str> {
    let words = page.split_whitespace();
    let links = words.filter_map(|it| it.strip_prefix("src=\"").or(it.strip_prefix("href=\"")));
    links.filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn redoc_comes_from_the_server_and_asks_nobody_else() {
    let database = Database::in_memory().await;
    let server = database.server();
    let page = get(&server, "/redoc").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let text = page.body.as_str().expect("a page");
    let own = ["data:,", "/redoc/page.css", "/openapi.json", "/redoc/redoc-2.5.4.js"];
    assert_eq!(named(text), own);
    let policy = page.header("content-security-policy");
    for said in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "img-src data:"] {
        assert!(policy.split(';').any(|part| part.trim() == said), "{said}: {policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http"), "{policy}");
    let bundle = get(&server, "/redoc/redoc-2.5.4.js").await;
    assert_eq!(bundle.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(bundle.header("cache-control"), "public, max-age=31536000, immutable");
    let bundle = bundle.body.as_str().expect("a script").to_owned();
    assert!(bundle.len() > 1_000_000 && bundle.contains("2.5.4"), "{}", bundle.len());
    // Where the bundle says that its licences are.
    assert!(
        bundle
            .starts_with("/*! For license information please see redoc.standalone.js.LICENSE.txt")
    );
    let licences = get(&server, "/redoc/redoc.standalone.js.LICENSE.txt").await;
    let licences = licences.body.as_str().expect("a text").to_owned();
    assert!(licences.contains("Rebilly") && licences.contains("DOMPurify"), "{licences}");
    let style = get(&server, "/redoc/page.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn swagger_ui_comes_from_the_server_and_shows_its_own_document() {
    let database = Database::in_memory().await;
    let server = database.server();
    let page = get(&server, "/docs/").await;
    assert_eq!(page.header("content-type"), "text/html");
    let text = page.body.as_str().expect("a page");
    let assets = linked(text);
    for asset in ["./swagger-ui.css", "./swagger-ui-bundle.js", "./swagger-initializer.js"] {
        assert!(assets.contains(&asset), "{asset}: {assets:?}");
    }
    for path in assets {
        assert!(!path.contains(':') && !path.starts_with('/'), "{path} is elsewhere");
        let asset = get(&server, &format!("/docs/{}", path.trim_start_matches("./"))).await;
        assert!(asset.body.as_str().is_some_and(|text| !text.is_empty()), "{path} is empty");
    }
    let initializer = get(&server, "/docs/swagger-initializer.js").await;
    let initializer = initializer.body.as_str().expect("a script").to_owned();
    assert!(initializer.contains("\"/openapi.json\""), "{initializer}");
    let document = get(&server, "/openapi.json").await;
    let version = document.body["openapi"].as_str().expect("a version").to_owned();
    assert!(version.starts_with("3.1."), "{version}");
    drop(server);
    database.remove().await;
}

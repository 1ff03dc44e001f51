//! Pages of lists: which one is asked for, and where the next one begins.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use super::json::Query;
use crate::error::Problem;

/// Rows of a page where nobody says how many.
const USUAL: i64 = 50;
/// The most rows of a page: what a client reads at once, and a query finds quickly.
const MOST: i64 = 200;

/// Which page, as a query string has it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// As `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A page of a list whose rows are found again by a `C`.
pub(super) struct Page<C> {
    /// The last row of the page before; none for the first page.
    pub(super) cursor: Option<C>,
    /// How many rows it has at most.
    pub(super) limit: i64,
}

impl<C: FromStr, S: Send + Sync> FromRequestParts<S> for Page<C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(PageQuery { cursor, limit }) = Query::from_request_parts(parts, state).await?;
        Self::new(cursor.as_deref(), limit)
    }
}

impl<C: FromStr> Page<C> {
    /// What a query string has of a page, for lists that are asked for by more than that.
    pub(super) fn new(cursor: Option<&str>, limit: Option<i64>) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::field("limit", format!("must be between 1 and {MOST}")));
        }
        let cursor = cursor.map(str::parse).transpose();
        let cursor =
            cursor.map_err(|_| Problem::field("cursor", "must be a next_cursor of a page"));
        Ok(Self { cursor: cursor?, limit })
    }
}

impl<C> Page<C> {
    /// What the next page begins after; none where these rows are the last.
    pub(super) fn next<R, N>(&self, rows: &[R], cursor: impl FnOnce(&R) -> N) -> Option<N> {
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == self.limit);
        rows.last().filter(|_| is_full).map(cursor)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn asked(query: &str) -> Result<Page<i64>, Problem> {
        let (mut parts, ()) =
            Request::get(format!("/list{query}")).body(()).expect("an address").into_parts();
        Page::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_page_has_one_to_two_hundred_rows_and_begins_after_a_row() {
        let page = asked("").await.expect("the first page");
        assert_eq!((page.cursor, page.limit), (None, 50));
        let page = asked("?limit=200&cursor=7").await.expect("a page");
        assert_eq!((page.cursor, page.limit), (Some(7), 200));
        for (query, field) in [
            ("?limit=0", "limit"),
            ("?limit=201", "limit"),
            ("?cursor=x", "cursor"),
            ("?other=1", "query"),
        ] {
            let problem = asked(query).await.err().expect(query);
            assert_eq!(problem.status, 422, "{query}");
            assert!(problem.errors.contains_key(field), "{query}: {:?}", problem.errors);
        }
    }

    #[test]
    fn another_page_follows_a_full_one() {
        let page = Page { cursor: None::<i64>, limit: 2 };
        assert_eq!(page.next(&[1, 2], |row| row * 10), Some(20));
        assert_eq!(page.next(&[1], |row| row * 10), None);
        assert_eq!(page.next(&[], |row: &i64| row * 10), None);
    }
}

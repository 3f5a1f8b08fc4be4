//! The dashboard: one page and what it is made of, all of it inside the program. What it shares with other roles is in
//! [`photongate_net::http`].

use axum::Router;
use photongate_net::assets;
use photongate_net::http::Assets;

/// The page at `/`, and its parts at `/assets/…`. They tell nothing about the key server, so anybody may have them.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    dashboard().routes()
}

fn dashboard() -> Assets {
    Assets::with(assets! { "dashboard":
        "/" HTML "index.html",
        "/assets/dashboard.css" CSS "dashboard.css",
        "/assets/alarms.js" SCRIPT "alarms.js",
        "/assets/app.js" SCRIPT "app.js",
        "/assets/links.js" SCRIPT "links.js",
        "/assets/map.js" SCRIPT "map.js",
        "/assets/rates.js" SCRIPT "rates.js",
        "/assets/stock.js" SCRIPT "stock.js",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_files_keep_to_the_rules() {
        assert_eq!(dashboard().mistakes(), Vec::<String>::new());
    }
}

//! HTTP, admin, metrics, configuration, router.

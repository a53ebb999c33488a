"""Numbers -> judgements: the published values, the claims, the audit, the doubts, the regression gate."""

"""`viewfinder classify`, part by part: where photos come from, who answers, where answers go."""

/* "Did you mean": the key nearest to a wrong one. */
#ifndef ROBIN_CONFIG_CONFIG_SUGGEST_H
#define ROBIN_CONFIG_CONFIG_SUGGEST_H

/* The nearest known path to free(), or NULL if none is near enough to be meant. */
char *config_suggest(const char *path);

#endif

/* What the table says to people: help and the reference file. */
#ifndef ROBIN_CONFIG_CONFIG_TEXT_H
#define ROBIN_CONFIG_CONFIG_TEXT_H

/* Help for the key or group `path`, "" for all; to free(). NULL if there is no such key. */
char *config_help(const char *path);

/* A configuration file with every key, its default and its sentence; to free(). */
char *config_reference(void);

#endif

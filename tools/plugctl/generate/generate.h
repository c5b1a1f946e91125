/* What is generated from the verb table when plugctl is built. */
#ifndef PLUGCTL_GENERATE_H
#define PLUGCTL_GENERATE_H

#include <stdio.h>

#include "verb.h"

void generate_man(FILE *to);
void generate_bash(FILE *to);
void generate_zsh(FILE *to);
void generate_fish(FILE *to);

#endif

#include "mode.h"

#include <string.h>

#define SPECIAL   07000
#define EVERYBODY 0777

static enum mode_error parse_octal(const char *text, mode_t *mode)
{
    unsigned long value = 0;

    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '7') {
            return MODE_INVALID;
        }
        value = value * 8 + (unsigned long)(*text - '0');
        if (value > (SPECIAL | EVERYBODY)) {
            return MODE_INVALID;
        }
    }
    *mode = (mode_t)value;
    return value > EVERYBODY ? MODE_NOT_PERMISSIONS : MODE_OK;
}

/* The classes that are named at *text, as the bits they own; 0 if none is. Moves *text behind them. */
static mode_t parse_who(const char **text)
{
    static const mode_t bits[] = {04700, 02070, 01007, 07777};
    static const char names[] = "ugoa";
    mode_t who = 0;

    for (const char *name; **text != '\0' && (name = strchr(names, **text)) != NULL; (*text)++) {
        who |= bits[name - names];
    }
    return who;
}

/* The permissions of one class, `name` of u, g and o, given to all three. */
static mode_t copy_of(char name, mode_t mode)
{
    mode_t bits = name == 'u' ? mode >> 6 : name == 'g' ? mode >> 3 : mode;
    bits &= 7;
    return bits << 6 | bits << 3 | bits;
}

/* The permissions that stand at *text, for all classes. Moves *text behind them. */
static mode_t parse_permissions(const char **text, mode_t mode)
{
    mode_t bits = 0;

    if (**text != '\0' && strchr("ugo", **text) != NULL) {
        return copy_of(*(*text)++, mode);
    }
    for (;; (*text)++) {
        switch (**text) {
        case 'r':
            bits |= 0444;
            break;
        case 'w':
            bits |= 0222;
            break;
        case 'x':
            bits |= 0111;
            break;
        case 'X': /* only if the unmodified mode can be executed, and a=rw cannot */
            break;
        case 's':
            bits |= 06000;
            break;
        case 't':
            bits |= 01000;
            break;
        default:
            return bits;
        }
    }
}

/* One clause: [ugoa...][+-=][permissions], the latter two once or more. Moves *text behind it. */
static enum mode_error parse_clause(const char **text, mode_t mask, mode_t *mode)
{
    mode_t who = parse_who(text);
    mode_t affected = who != 0 ? who : (mode_t)(07777 & ~mask);

    if (**text == '\0' || strchr("+-=", **text) == NULL) {
        return MODE_INVALID;
    }
    while (**text != '\0' && strchr("+-=", **text) != NULL) {
        char operation = *(*text)++;
        mode_t bits = parse_permissions(text, *mode) & affected;
        if (operation == '+') {
            *mode |= bits;
        } else if (operation == '-') {
            *mode &= ~bits;
        } else {
            *mode = (*mode & ~(who != 0 ? who : 07777)) | bits;
        }
    }
    return MODE_OK;
}

enum mode_error mode_parse(const char *text, mode_t mask, mode_t *mode)
{
    mode_t result = 0666;

    if (*text >= '0' && *text <= '9') {
        return parse_octal(text, mode);
    }
    for (;;) {
        if (parse_clause(&text, mask, &result) != MODE_OK) {
            return MODE_INVALID;
        }
        if (*text == '\0') {
            *mode = result;
            return result & SPECIAL ? MODE_NOT_PERMISSIONS : MODE_OK;
        }
        if (*text++ != ',') {
            return MODE_INVALID;
        }
    }
}

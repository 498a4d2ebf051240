// The settings, as the gateway describes them: in English there is nothing to translate.

export default {};

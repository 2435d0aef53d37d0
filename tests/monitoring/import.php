<?php

// Whether Zabbix would import a file: import.php FRONTEND FILE. FRONTEND is where its frontend is unpacked. All that it looks
// at before it asks its database is looked at, by its own code.

declare(strict_types=1);

[, $frontend, $file] = $argv;
require "$frontend/include/classes/core/ZBase.php";

// What its pages load, without a session and a database.
final class Frontend extends ZBase
{
    public function __construct()
    {
        self::$instance = $this;
        $this->init();
    }
}

function refuse(string $error): never
{
    fwrite(STDERR, "$error\n");
    exit(1);
}

// The text as the importer gets it: the structure is checked, and words have become the numbers of Zabbix' API.
function read(string $text): array
{
    $format = CImportReaderFactory::YAML;
    $validators = new CImportValidatorFactory($format);
    $data = CImportReaderFactory::getReader($format)->read($text);
    $data = (new CXmlValidator($validators, $format))->setStrict(true)->validate($data, '/');
    $schema = $validators->getObject(ZABBIX_EXPORT_VERSION)->getSchema();
    $data = (new CConstantImportConverter($schema))->convert($data);
    $data = (new CDefaultImportConverter($schema))->convert($data);
    return (new CImportDataNormalizer($schema))->normalize($data);
}

// What the import leaves to the API, by the names of the fields.
function rules(): array
{
    return [
        'uuid' => ['type' => API_UUID],
        'delay' => ['type' => API_ITEM_DELAY],
        'history' => ['type' => API_TIME_UNIT],
        'trends' => ['type' => API_TIME_UNIT],
        'key' => ['type' => API_ITEM_KEY],
        'expression' => ['type' => API_TRIGGER_EXPRESSION, 'flags' => API_NOT_EMPTY | API_ALLOW_LLD_MACRO],
        'preprocessing' => CItem::getPreprocessingValidationRules(API_ALLOW_LLD_MACRO),
    ];
}

// The API wants the parameters of a step in one text.
function joined(array $steps): array
{
    foreach ($steps as &$step) {
        if (isset($step['parameters'])) {
            $step['params'] = implode("\n", $step['parameters']);
            unset($step['parameters']);
        }
    }
    return $steps;
}

function check(array $data, string $path, array $rules): int
{
    $checked = 0;
    foreach ($data as $field => $value) {
        $here = "$path/$field";
        if ($value === '') {
            continue;
        }
        if (isset($rules[$field])) {
            $checked++;
            $value = $field === 'preprocessing' ? joined($value) : $value;
            CApiInputValidator::validate($rules[$field], $value, $here, $error) or refuse($error);
        } elseif (is_array($value)) {
            $checked += check($value, $here, $rules);
        }
    }
    return $checked;
}

new Frontend();
$DB['TYPE'] = ZBX_DB_POSTGRESQL; // Where the lengths of fields depend on it.
set_error_handler(fn (int $level, string $said) => throw new ErrorException($said));
try {
    $checked = check(read(file_get_contents($file)), '', rules());
} catch (Throwable $surprise) {
    refuse($surprise->getMessage());
}
echo 'Zabbix ', ZABBIX_VERSION, ": $checked fields\n";

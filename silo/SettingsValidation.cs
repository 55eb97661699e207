using System.Collections;
using System.ComponentModel.DataAnnotations;

namespace IommuFd.Silo;

/// <summary>Validates settings, nested ones included, and names each by its path in the configuration.</summary>
public static class SettingsValidation
{
    /// <summary>Throws one <see cref="ValidationException"/> that lists every problem, one per line.</summary>
    public static void Validate(object settings, string section)
    {
        var problems = Problems(settings, section).ToList();
        if (problems.Count > 0)
        {
            throw new ValidationException(string.Join(Environment.NewLine, problems));
        }
    }

    private static IEnumerable<string> Problems(object settings, string section)
    {
        var results = new List<ValidationResult>();
        Validator.TryValidateObject(settings, new ValidationContext(settings), results, validateAllProperties: true);
        foreach (var result in results)
        {
            yield return $"{string.Join(", ", result.MemberNames.Select(member => $"{section}:{member}").DefaultIfEmpty(section))}: {result.ErrorMessage}";
        }

        foreach (var property in settings.GetType().GetProperties().Where(property => property.PropertyType.Namespace?.StartsWith("IommuFd", StringComparison.Ordinal) == true && property.PropertyType.IsClass))
        {
            if (property.GetValue(settings) is { } nested and not IEnumerable)
            {
                foreach (var problem in Problems(nested, $"{section}:{property.Name}"))
                {
                    yield return problem;
                }
            }
        }
    }
}

using System.Reflection;
using System.Text.RegularExpressions;
using IommuFd.Silo.Dashboard.Components;
using Microsoft.AspNetCore.Components;

namespace IommuFd.BrowserTests;

/// <summary>Every page of the dashboard, by its route, so that no test has a list of them.</summary>
internal static partial class Pages
{
    /// <summary>A page that has what it shows, and so have all its parts.</summary>
    public const string Ready = "body:not(:has(.loading)) h1";

    /// <summary>The paths of all pages, with the parameters of a context that has something to show.</summary>
    public static IEnumerable<string> Of(Scenario made)
    {
        Dictionary<string, string> parameters = new() { ["TagText"] = made.Context.Handle.Key.Tag.ToString(), ["Id"] = made.Guest.ToString() };
        return typeof(App).Assembly.GetTypes().SelectMany(type => type.GetCustomAttributes<RouteAttribute>(inherit: false)).Select(route => route.Template)

            // What takes every other path is the page that says that there is none.
            .Where(template => !template.Contains('*', StringComparison.Ordinal)).Order(StringComparer.Ordinal)
            .Select(template => Parameter().Replace(template, match => parameters.TryGetValue(match.Groups[1].Value, out var value)
                ? value : throw new InvalidOperationException($"No value for the parameter {match.Value} of the page {template}: add one here.")));
    }

    [GeneratedRegex(@"\{(\w+)[^}]*\}")]
    private static partial Regex Parameter();
}

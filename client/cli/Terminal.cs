using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

// What is shown has names in it that other programs have chosen. So nothing of the command line writes but by this.

/// <summary>Writes what people see, in lines of which no text in them can make more.</summary>
internal static class Terminal
{
    /// <summary>Writes a line.</summary>
    public static void Line(string text) => Console.WriteLine(Plain.Line(text));

    /// <summary>Writes a line to the error stream.</summary>
    public static void Error(string text) => Console.Error.WriteLine(Plain.Line(text));

    /// <summary>Writes a document whose language has its own way to write all characters, which its maker has used.</summary>
    public static void Document(string text) => Console.WriteLine(text);

    /// <summary>Writes a line.</summary>
    public static void Line(this IAnsiConsole console, string text) => console.WriteLine(Plain.Line(text));

    /// <summary>Writes a line with markup, whose holes are texts.</summary>
    public static void Say(this IAnsiConsole console, FormattableString text)
        => console.MarkupLineInterpolated(System.Runtime.CompilerServices.FormattableStringFactory.Create(text.Format, [.. text.GetArguments().Select(argument => (object)Plain.Line($"{argument}"))]));

    /// <summary>A text where markup is expected.</summary>
    public static string Cell(string text) => Markup.Escape(Plain.Line(text));
}

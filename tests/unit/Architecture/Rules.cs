using System.Reflection;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;

namespace IommuFd.UnitTests.Architecture;

/// <summary>The rules of the architecture as functions: a type in, what it does against the rule out. So they can be shown samples that break them.</summary>
internal static class Rules
{
    // Clients' contracts are public, those of objects are the grains' own.
    private static readonly Assembly[] Contracts = [typeof(IContextGrain).Assembly, typeof(IObjectGrain).Assembly];

    // What leads an object's grain to other grains. A service provider has all of it.
    private static readonly string[] WaysToGrains =
    [
        "Orleans.Grain", "Orleans.Grain`1", "Orleans.IGrainFactory", "Orleans.IClusterClient", "Orleans.Runtime.IGrainRuntime", "System.IServiceProvider",
    ];

    // Orleans, tasks, threads, clocks, chance and I/O. Locks and Interlocked are in System.Threading, and have no place where turns are the locks.
    private static readonly string[] ImpureNamespaces = ["Orleans", "System.Threading", "System.IO", "System.Net", "Microsoft.Extensions"];

    private static readonly string[] ImpureTypes =
        ["System.DateTime", "System.DateTimeOffset", "System.TimeProvider", "System.Diagnostics.Stopwatch", "System.Random", "System.Guid", "System.Console"];

    // What the grains ask of their host. The rest of their assembly is their own business.
    private const string Grains = "IommuFd.Grains.";
    private static readonly string[] HostedNamespaces =
        ["IommuFd.Grains.Journaling.", "IommuFd.Grains.Configuration.", "IommuFd.Grains.Monitoring.", "IommuFd.Grains.Telemetry.InstrumentNames"];

    // How data is written down says nothing of what is done with it.
    private static readonly string[] SerializerAttributes =
    [
        "Orleans.GenerateSerializerAttribute", "Orleans.IdAttribute", "Orleans.AliasAttribute", "Orleans.ImmutableAttribute",
        "Orleans.OmitDefaultMemberValuesAttribute", "Orleans.SuppressReferenceTrackingAttribute",
    ];

    /// <summary>Calls go one way: an object's grain calls neither its context nor a sibling, and has no way to.</summary>
    public static IEnumerable<string> BreaksOneWayCalls(Type grain)
    {
        var others = Contracts.SelectMany(assembly => assembly.GetTypes())
            .Where(type => type.IsInterface && typeof(IAddressable).IsAssignableFrom(type) && !type.IsAssignableFrom(grain))
            .Select(type => type.FullName!);
        var references = TypeReferences.Of(grain);
        foreach (var name in WaysToGrains.Concat(others).Where(references.Contains))
        {
            yield return $"{grain.FullName} uses {name}";
        }

        for (var parent = grain.BaseType; parent is not null; parent = parent.BaseType)
        {
            if (parent == typeof(Grain))
            {
                yield return $"{grain.FullName} derives from Orleans.Grain, which has a GrainFactory";
            }
        }
    }

    /// <summary>A model decides synchronously, by what it is given and has: no Orleans, tasks, locks, clocks, chance or I/O.</summary>
    public static IEnumerable<string> BreaksPurity(Type model)
        => from name in TypeReferences.Of(model).Except(SerializerAttributes)
           where ImpureNamespaces.Any(space => name.StartsWith(space + '.', StringComparison.Ordinal))
               || ImpureTypes.Contains(name)
               || IsGrainInterface(name)
           select $"{model.FullName} uses {name}";

    /// <summary>The silo hosts the grains, and knows of them only what they ask of their host.</summary>
    public static IEnumerable<string> BreaksHosting(Type host)
        => from name in TypeReferences.Of(host)
           where name.StartsWith(Grains, StringComparison.Ordinal) && !IsHosted(name)
           select $"{host.FullName} uses {name}";

    /// <summary>Whether a type uses what the grains ask of their host.</summary>
    public static bool IsHostOfJournals(Type type) => TypeReferences.Of(type).Any(IsHosted);

    /// <summary>Whether a type is a grain of an object, or the part that they share.</summary>
    public static bool IsObjectGrain(Type type) => type.IsClass && typeof(IObjectGrain).IsAssignableFrom(type);

    private static bool IsHosted(string name) => Array.Exists(HostedNamespaces, space => name.StartsWith(space, StringComparison.Ordinal));

    private static bool IsGrainInterface(string name)
        => Contracts.Select(assembly => assembly.GetType(name)).OfType<Type>().FirstOrDefault() is { } type && typeof(IAddressable).IsAssignableFrom(type);
}

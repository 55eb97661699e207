using System.Reflection;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Architecture;

// What crosses grains: names that stay when a type or method is renamed, numbered state, and no copies of what nobody changes.

public sealed class ContractTests
{
    private static readonly Assembly Contracts = typeof(IContextGrain).Assembly;

    // What grains write down for themselves must be read by later versions, as what crosses grains by other silos.
    private static readonly Assembly GrainsAssembly = typeof(ObjectTable).Assembly;

    private static readonly Type[] Messages =
        [.. TypeReferences.Written(Contracts).Concat(TypeReferences.Written(GrainsAssembly)).Where(type => type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false))];

    private static readonly Type[] Grains =
        [.. TypeReferences.Written(Contracts).Concat(TypeReferences.Written(GrainsAssembly)).Where(type => type.IsInterface && typeof(IAddressable).IsAssignableFrom(type))];

    // An exception can't be immutable: the runtime writes down where it was thrown.
    public static TheoryData<string> MessageNames => [.. Messages.Where(type => !type.IsSubclassOf(typeof(Exception))).Select(type => type.Name)];

    public static TheoryData<string> GrainNames => [.. Grains.Select(type => type.Name)];

    [Fact]
    public void The_rules_have_something_to_look_at()
    {
        Expect.That(Messages.Length >= 20, $"Only {Messages.Length} types that cross grains were found.");
        Expect.That(Grains.Length >= 3, $"Only {Grains.Length} grain interfaces were found.");
    }

    [Theory]
    [MemberData(nameof(MessageNames))]
    public void A_type_that_crosses_grains_has_an_alias_and_is_immutable(string name)
    {
        var type = Messages.Single(type => type.Name == name);
        Expect.That(type.GetCustomAttribute<AliasAttribute>(inherit: false) is { Alias.Length: > 0 }, $"{name} has no [Alias].");
        Expect.That(type.IsDefined(typeof(ImmutableAttribute), inherit: false), $"{name} has no [Immutable].");

        // Exceptions inherit properties that can be set, and that nobody sets once they are thrown.
        foreach (var setter in type.GetProperties().Where(property => property.DeclaringType!.Namespace!.StartsWith("IommuFd.", StringComparison.Ordinal)).Select(property => property.SetMethod).OfType<MethodInfo>())
        {
            Expect.That(
                setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)),
                $"{name} is [Immutable], and {setter.Name[4..]} can be set after it was made.");
        }
    }

    [Theory]
    [MemberData(nameof(MessageNames))]
    public void Every_property_that_carries_state_has_an_id_of_its_own(string name)
    {
        var type = Messages.Single(type => type.Name == name);
        var ids = new List<uint>();
        foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
        {
            if (field.IsDefined(typeof(NonSerializedAttribute)))
            {
                continue;
            }

            var property = field.Name.StartsWith('<')
                ? type.GetProperty(field.Name[1..field.Name.IndexOf('>', StringComparison.Ordinal)], BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
                : null;
            var id = ((MemberInfo?)property ?? field).GetCustomAttribute<IdAttribute>();
            Expect.That(id is not null, $"{name}.{property?.Name ?? field.Name} carries state and has no [Id].");
            ids.Add(id.Id);
        }

        Expect.Equal(ids.Count, ids.Distinct().Count(), $"different ids among those of {name}: {string.Join(", ", ids)}");
    }

    [Theory]
    [MemberData(nameof(GrainNames))]
    public void A_grain_interface_and_its_methods_have_aliases(string name)
    {
        var type = Grains.Single(type => type.Name == name);
        Expect.That(type.GetCustomAttribute<AliasAttribute>(inherit: false) is { Alias.Length: > 0 }, $"{name} has no [Alias].");
        var aliases = new List<string>();
        foreach (var method in type.GetMethods())
        {
            var alias = method.GetCustomAttribute<AliasAttribute>(inherit: false)?.Alias;
            Expect.That(!string.IsNullOrEmpty(alias), $"{name}.{method.Name} has no [Alias].");
            aliases.Add(alias);
        }

        Expect.Equal(aliases.Count, aliases.Distinct().Count(), $"different aliases among those of {name}: {string.Join(", ", aliases)}");
    }

    [Fact]
    public void No_two_types_have_the_same_alias()
    {
        var aliases = Messages.Concat(Grains).Select(type => type.GetCustomAttribute<AliasAttribute>(inherit: false)!.Alias).ToList();
        Expect.Sequence([], aliases.GroupBy(alias => alias).Where(group => group.Count() > 1).Select(group => group.Key), "aliases that several types have");
    }

    [Fact]
    public void Everything_that_a_grain_takes_or_answers_can_cross()
    {
        var signatures = Grains.SelectMany(grain => grain.GetMethods())
            .SelectMany(method => method.GetParameters().Select(parameter => parameter.ParameterType).Append(method.ReturnType));
        var missing = new List<string>();
        var seen = new HashSet<Type>();
        var open = new Queue<Type>(signatures);
        while (open.TryDequeue(out var type))
        {
            var parts = type.HasElementType ? [type.GetElementType()!] : type.GetGenericArguments();
            foreach (var part in parts)
            {
                open.Enqueue(part);
            }

            if ((type.Assembly != Contracts && type.Assembly != GrainsAssembly) || type.IsEnum || type.HasElementType || !seen.Add(type))
            {
                continue;
            }

            if (!Messages.Contains(type))
            {
                missing.Add(type.Name);
            }

            foreach (var property in type.GetProperties().Where(property => property.IsDefined(typeof(IdAttribute))))
            {
                open.Enqueue(property.PropertyType);
            }
        }

        Expect.Sequence([], missing, "types that cross grains without [GenerateSerializer]");
        Expect.That(
            seen.Contains(typeof(IoctlDiagnostic)) && seen.Contains(typeof(Holder)) && seen.Contains(typeof(ObjectStamp)),
            "The search does not get as far as it should.");
    }
}
